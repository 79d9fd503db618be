-- Counts of users without their position in the list, and search in `users` itself instead of
-- a copy. crates/postgres/src/user_list/README.md describes what is maintained and how.

-- No server folds deltas while the tables change, and no user changes until the triggers are
-- back.
SELECT pg_advisory_xact_lock(x'75736804'::bigint);
LOCK TABLE users IN ACCESS EXCLUSIVE MODE;

DROP TRIGGER users_list_changed ON users;
DROP TRIGGER users_unlist_truncated ON users;
DROP TRIGGER users_unlist_removed ON users;
DROP TRIGGER users_list_new ON users;
DROP FUNCTION list_changed_user();
DROP FUNCTION unlist_truncated_users();
DROP FUNCTION unlist_removed_users();
DROP FUNCTION list_new_users();
DROP TABLE user_list;
DROP TABLE user_buckets;

ALTER TABLE user_count_deltas DROP COLUMN key;

COMMENT ON TABLE user_totals IS 'The number of users by status and login type, without deleted and system users. Add user_count_deltas for the current number.';
COMMENT ON TABLE user_count_deltas IS 'Changes that user_totals does not include yet. Written by triggers on users; a server folds them into user_totals every few seconds.';
COMMENT ON COLUMN user_count_deltas.d IS 'The number of users added, or removed if negative.';

-- One row per statement and kind, so that the list is as fast after a bulk load as before.
CREATE FUNCTION count_inserted_users() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO user_count_deltas (status, login_type, d)
    SELECT status, login_type, count(*)
    FROM inserted
    WHERE NOT deleted AND NOT is_system
    GROUP BY status, login_type;
    RETURN NULL;
END
$$;

CREATE TRIGGER users_count_inserted AFTER INSERT ON users
    REFERENCING NEW TABLE AS inserted
    FOR EACH STATEMENT
    EXECUTE FUNCTION count_inserted_users();

CREATE FUNCTION count_removed_users() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO user_count_deltas (status, login_type, d)
    SELECT status, login_type, -count(*)
    FROM removed
    WHERE NOT deleted AND NOT is_system
    GROUP BY status, login_type;
    RETURN NULL;
END
$$;

CREATE TRIGGER users_count_removed AFTER DELETE ON users
    REFERENCING OLD TABLE AS removed
    FOR EACH STATEMENT
    EXECUTE FUNCTION count_removed_users();

-- Runs before the truncation, while the rows can still be counted.
CREATE FUNCTION count_truncated_users() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO user_count_deltas (status, login_type, d)
    SELECT status, login_type, -count(*)
    FROM users
    WHERE NOT deleted AND NOT is_system
    GROUP BY status, login_type;
    RETURN NULL;
END
$$;

CREATE TRIGGER users_count_truncated BEFORE TRUNCATE ON users
    FOR EACH STATEMENT
    EXECUTE FUNCTION count_truncated_users();

CREATE FUNCTION count_changed_user() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT OLD.deleted AND NOT OLD.is_system THEN
        INSERT INTO user_count_deltas (status, login_type, d)
        VALUES (OLD.status, OLD.login_type, -1);
    END IF;
    IF NOT NEW.deleted AND NOT NEW.is_system THEN
        INSERT INTO user_count_deltas (status, login_type, d)
        VALUES (NEW.status, NEW.login_type, 1);
    END IF;
    RETURN NULL;
END
$$;

-- For each row, since only such a trigger can have a condition on what changed: the frequent
-- update of last_seen_at does not call it.
CREATE TRIGGER users_count_changed AFTER UPDATE ON users
    FOR EACH ROW WHEN (
        (OLD.status, OLD.login_type, OLD.deleted, OLD.is_system)
        IS DISTINCT FROM (NEW.status, NEW.login_type, NEW.deleted, NEW.is_system)
    )
    EXECUTE FUNCTION count_changed_user();

-- The order of the list with all columns that ranks and offsets read. An index-only scan needs
-- `username` too, since the planner does not match expressions with index columns there.
CREATE INDEX users_list_idx ON users (lower(username))
    INCLUDE (username, status, login_type)
    WHERE NOT deleted AND NOT is_system;

-- Substring search. Username and e-mail address are one text, so that a search scans the index
-- once. Without pg_trgm (see the migration users_search) the same query scans the table.
-- Every search reads the list of pending entries; 1 MB keeps that cheap, and inserting without
-- the list would double the cost of creating a user.
DO $$
BEGIN
    CREATE INDEX users_search_idx ON users
        USING gin ((lower(username) || E'\n' || lower(email)) gin_trgm_ops)
        WITH (gin_pending_list_limit = 1024)
        WHERE NOT deleted AND NOT is_system;
EXCEPTION
    -- The extension is missing, or in a schema that is not on the search path.
    WHEN undefined_object THEN
        RAISE NOTICE 'searching users will scan the table without pg_trgm: %', SQLERRM;
END
$$;
