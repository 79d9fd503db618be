-- Users with site roles, in the order of the list. They are few among many, and each elsewhere
-- in the table; here all that it takes to find and count those of a role lies together.

CREATE INDEX users_with_roles_idx ON users (lower(username))
    INCLUDE (id, username, rbac_roles)
    WHERE NOT deleted AND NOT is_system AND rbac_roles <> '{}';

-- Where many have a role, and few the one that is asked for, this one is read instead. It says
-- the same in words that there are no statistics for, since the planner would take having roles
-- and having that role for a coincidence, and this index for the better one always.
DROP INDEX users_rbac_roles_idx;
CREATE INDEX users_rbac_roles_idx ON users USING gin (rbac_roles) WITH (fastupdate = off)
    WHERE NOT deleted AND NOT is_system AND cardinality(rbac_roles) > 0;
