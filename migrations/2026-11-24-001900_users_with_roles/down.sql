DROP INDEX users_with_roles_idx;
DROP INDEX users_rbac_roles_idx;
CREATE INDEX users_rbac_roles_idx ON users USING gin (rbac_roles) WITH (fastupdate = off)
    WHERE NOT deleted AND NOT is_system AND rbac_roles <> '{}';
