-- Users with site roles, in the order of the list. They are few and scattered over the table;
-- this index is enough to find and count the users with a role.

CREATE INDEX users_with_roles_idx ON users (lower(username))
    INCLUDE (id, username, rbac_roles)
    WHERE NOT deleted AND NOT is_system AND rbac_roles <> '{}';

-- This index is better if many users have roles and few have the one in the filter. Its
-- condition has the same meaning in a form without statistics: otherwise the planner would
-- treat having roles and having that role as independent, and always choose this index.
DROP INDEX users_rbac_roles_idx;
CREATE INDEX users_rbac_roles_idx ON users USING gin (rbac_roles) WITH (fastupdate = off)
    WHERE NOT deleted AND NOT is_system AND cardinality(rbac_roles) > 0;
