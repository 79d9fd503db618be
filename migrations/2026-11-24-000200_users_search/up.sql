-- Substring search over usernames and e-mail addresses. Without pg_trgm (not installed, or no
-- right to create it) the same queries scan the table, so a notice is enough.

DO $$
BEGIN
    CREATE EXTENSION IF NOT EXISTS pg_trgm;
EXCEPTION
    -- No right to create it; no such extension, before Postgres 15 and since.
    WHEN insufficient_privilege OR undefined_file OR feature_not_supported THEN
        RAISE NOTICE 'there is no pg_trgm: %', SQLERRM;
END
$$;
