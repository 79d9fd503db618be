DROP TRIGGER users_delete_user_links ON users;
DROP FUNCTION delete_user_links_of_user();
DROP TABLE user_links;
