DROP VIEW visible_users;
DROP TABLE user_deleted;
DROP TABLE user_status_changes;
DROP TABLE users;
DROP FUNCTION refuse_deleted_user();
DROP FUNCTION record_user_deletion();
DROP FUNCTION record_user_status();
