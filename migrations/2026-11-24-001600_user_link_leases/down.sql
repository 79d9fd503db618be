DROP TRIGGER user_links_refuse_deleted_user ON user_links;
CREATE TRIGGER user_links_refuse_deleted_user BEFORE INSERT OR UPDATE ON user_links
    FOR EACH ROW
    EXECUTE FUNCTION refuse_deleted_user();
ALTER TABLE user_links
    DROP COLUMN oauth_refresh_leased_by,
    DROP COLUMN oauth_refresh_leased_until;
