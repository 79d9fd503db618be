-- Username and address as one text, so that a search looks into the index once and not twice,
-- and what an address has of the username is in it once. A text without wildcards and line
-- feeds is in the whole exactly if it is in one of the two.

DROP INDEX IF EXISTS user_list_search_idx;

-- As before, only with pg_trgm, and with a list of new entries that a search reads through.
DO $$
BEGIN
    CREATE INDEX user_list_search_idx ON user_list
        USING gin ((key || E'\n' || email) gin_trgm_ops)
        WITH (gin_pending_list_limit = 1024);
EXCEPTION
    WHEN undefined_object THEN
        RAISE NOTICE 'searching users will scan, for want of pg_trgm: %', SQLERRM;
END
$$;
