-- Substring search over usernames and addresses. Without pg_trgm (not installed,
-- or not ours to create) the same queries give the same answers by a scan, so its
-- absence is a notice and not a failure.
-- New entries wait in a list that every search reads; 1 MB keeps that cheap, and
-- doing without the list would double the cost of creating a user.

DO $$
BEGIN
    CREATE EXTENSION IF NOT EXISTS pg_trgm;
    CREATE INDEX users_search_idx ON users
        USING gin (lower(username) gin_trgm_ops, lower(email) gin_trgm_ops)
        WITH (gin_pending_list_limit = 1024)
        WHERE NOT deleted AND NOT is_system;
EXCEPTION
    -- In this order: no right to create it; no such extension (up to Postgres 14,
    -- and from 15 on); there, but in a schema that is not on the search path.
    WHEN insufficient_privilege OR undefined_file OR feature_not_supported OR undefined_object THEN
        RAISE NOTICE 'searching users will scan, for want of pg_trgm: %', SQLERRM;
END
$$;
