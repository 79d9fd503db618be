-- One replica at a time refreshes the tokens of a link. While it calls the provider, it
-- holds a lease and no connection.

ALTER TABLE user_links
    ADD COLUMN oauth_refresh_leased_until timestamptz,
    ADD COLUMN oauth_refresh_leased_by uuid;

COMMENT ON COLUMN user_links.oauth_refresh_leased_until IS 'Until then somebody is refreshing the tokens; null or past: nobody.';
COMMENT ON COLUMN user_links.oauth_refresh_leased_by IS 'The turn that the lease is of.';
COMMENT ON COLUMN user_links.claims IS 'What the provider said at the last sign-in, an object: "id_token" of the ID token, "secondary" of user information or the access token, "merged" of both.';

-- Deleting a user deletes their links, so updates need no check. With one, a refresh
-- would lock the link before the user, and a deletion the user before the link.
DROP TRIGGER user_links_refuse_deleted_user ON user_links;
CREATE TRIGGER user_links_refuse_deleted_user BEFORE INSERT OR UPDATE OF user_id ON user_links
    FOR EACH ROW
    EXECUTE FUNCTION refuse_deleted_user();
