DROP INDEX IF EXISTS user_list_search_idx;

DO $$
BEGIN
    CREATE INDEX user_list_search_idx ON user_list
        USING gin (key gin_trgm_ops, email gin_trgm_ops)
        WITH (gin_pending_list_limit = 1024);
EXCEPTION
    WHEN undefined_object THEN
        RAISE NOTICE 'searching users will scan, for want of pg_trgm: %', SQLERRM;
END
$$;
