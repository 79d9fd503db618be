DROP TABLE custom_roles;
DROP FUNCTION remove_role_from_members();
