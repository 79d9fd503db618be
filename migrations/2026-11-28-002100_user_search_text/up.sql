-- Username and e-mail address as one text, so that a search scans the index once and not twice,
-- and trigrams of both are stored once. A text without wildcards and line feeds is part of the
-- whole if and only if it is part of one of the two.

DROP INDEX IF EXISTS user_list_search_idx;

-- As before: only with pg_trgm, and with a limited list of pending entries.
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
