-- External logins: links between users and accounts at GitHub or an OpenID provider.

CREATE TABLE user_links (
    user_id uuid REFERENCES users ON DELETE CASCADE,
    login_type text
        CHECK (login_type IN ('password', 'github', 'oidc', 'token', 'none', 'oauth2_provider_app')),
    linked_id text NOT NULL DEFAULT '',
    oauth_access_token text NOT NULL DEFAULT '',
    oauth_access_token_key_id text,
    oauth_refresh_token text NOT NULL DEFAULT '',
    oauth_refresh_token_key_id text,
    oauth_expiry timestamptz NOT NULL DEFAULT '0001-01-01 00:00:00+00',
    claims jsonb NOT NULL DEFAULT '{}',
    PRIMARY KEY (user_id, login_type)
);

COMMENT ON COLUMN user_links.linked_id IS 'The account there: the numeric id at GitHub, <issuer>||<subject> with OpenID. Empty on old rows, until the next sign-in.';
COMMENT ON COLUMN user_links.oauth_access_token_key_id IS 'The key that the token is encrypted with; null if it is plain text.';
COMMENT ON COLUMN user_links.oauth_refresh_token IS 'Empty if the provider gave none.';
COMMENT ON COLUMN user_links.oauth_refresh_token_key_id IS 'The key that the token is encrypted with; null if it is plain text.';
COMMENT ON COLUMN user_links.oauth_expiry IS 'When the access token ends. Year 1: never.';
COMMENT ON COLUMN user_links.claims IS 'What the provider said at the last sign-in: of the ID token, of user information, and merged.';

CREATE UNIQUE INDEX user_links_linked_id_login_type_idx ON user_links (linked_id, login_type) WHERE linked_id <> '';

CREATE TRIGGER user_links_refuse_deleted_user BEFORE INSERT OR UPDATE ON user_links
    FOR EACH ROW
    EXECUTE FUNCTION refuse_deleted_user();

CREATE FUNCTION delete_user_links_of_user() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM user_links WHERE user_id = NEW.id;
    RETURN NULL;
END
$$;

CREATE TRIGGER users_delete_user_links AFTER UPDATE OF deleted ON users
    FOR EACH ROW WHEN (NEW.deleted)
    EXECUTE FUNCTION delete_user_links_of_user();
