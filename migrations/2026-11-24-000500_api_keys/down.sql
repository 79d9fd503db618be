DROP TRIGGER users_delete_api_keys ON users;
DROP FUNCTION delete_api_keys_of_user();
DROP TABLE api_keys;
DROP FUNCTION set_default_lifetime();
