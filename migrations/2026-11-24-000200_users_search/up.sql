-- Substring search over usernames and addresses. Without pg_trgm (not installed, or not ours
-- to create) the same queries give the same answers by a scan, so its absence is a notice and
-- not a failure.

DO $$
BEGIN
    CREATE EXTENSION IF NOT EXISTS pg_trgm;
EXCEPTION
    -- In this order: no right to create it; no such extension (up to Postgres 14, and from
    -- 15 on).
    WHEN insufficient_privilege OR undefined_file OR feature_not_supported THEN
        RAISE NOTICE 'there is no pg_trgm: %', SQLERRM;
END
$$;
