-- API keys: browser and command-line sessions, and tokens that users create.
-- Clients send `<id>-<secret>`.

CREATE TABLE api_keys (
    id text PRIMARY KEY,
    hashed_secret bytea NOT NULL,
    user_id uuid NOT NULL REFERENCES users ON DELETE CASCADE,
    login_type text NOT NULL
        CHECK (login_type IN ('password', 'github', 'oidc', 'token', 'none', 'oauth2_provider_app')),
    token_name text NOT NULL DEFAULT '',
    scopes text[] NOT NULL DEFAULT '{coder:all}'
        CHECK (cardinality(scopes) > 0),
    allow_list text[] NOT NULL DEFAULT '{*:*}'
        CHECK (cardinality(allow_list) > 0),
    lifetime_seconds bigint NOT NULL DEFAULT 86400,
    ip_address inet NOT NULL DEFAULT '0.0.0.0',
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    last_used timestamptz NOT NULL,
    expires_at timestamptz NOT NULL
);

COMMENT ON COLUMN api_keys.hashed_secret IS 'SHA-256 of the secret, 32 bytes. The secret has entropy enough to do without salt.';
COMMENT ON COLUMN api_keys.login_type IS 'How the user got the key; "token" for one made to be kept.';
COMMENT ON COLUMN api_keys.token_name IS 'Unique among the tokens of a user; empty for sessions.';
COMMENT ON COLUMN api_keys.scopes IS 'What the key may do, as an upper bound on what its user may. In the order asked for.';
COMMENT ON COLUMN api_keys.allow_list IS 'What the key may touch, as <type>:<id>; either half may be *.';
COMMENT ON COLUMN api_keys.lifetime_seconds IS 'How far use of the key pushes expires_at ahead.';
COMMENT ON COLUMN api_keys.ip_address IS 'Where the key was last used from; 0.0.0.0 if that is not known.';
COMMENT ON COLUMN api_keys.updated_at IS 'Not moved by use.';
COMMENT ON COLUMN api_keys.last_used IS 'About an hour exact. Year 1: never used.';

CREATE UNIQUE INDEX idx_api_key_name ON api_keys (user_id, token_name) WHERE login_type = 'token';
CREATE INDEX api_keys_user_id_idx ON api_keys (user_id);

CREATE FUNCTION set_default_lifetime() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.lifetime_seconds := 86400;
    RETURN NEW;
END
$$;

CREATE TRIGGER api_keys_set_default_lifetime BEFORE INSERT ON api_keys
    FOR EACH ROW WHEN (NEW.lifetime_seconds = 0)
    EXECUTE FUNCTION set_default_lifetime();

CREATE TRIGGER api_keys_refuse_deleted_user BEFORE INSERT ON api_keys
    FOR EACH ROW
    EXECUTE FUNCTION refuse_deleted_user();

CREATE FUNCTION delete_api_keys_of_user() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM api_keys WHERE user_id = NEW.id;
    RETURN NULL;
END
$$;

CREATE TRIGGER users_delete_api_keys AFTER UPDATE OF deleted ON users
    FOR EACH ROW WHEN (NEW.deleted)
    EXECUTE FUNCTION delete_api_keys_of_user();
