-- Counts of users and a narrow copy for searches, so that a page of the list costs the same
-- with a thousand and with a million users. Triggers maintain them, so that changes by SQL and
-- imports are included. The migration user_counts replaces the copy and the buckets.

-- Counts by last_seen_at and created_at are index-only scans of pages that vacuum has visited.
-- By default, it visits a table only after a fifth of it has changed.
ALTER TABLE users SET (
    autovacuum_vacuum_scale_factor = 0.05,
    autovacuum_vacuum_insert_scale_factor = 0.05
);

-- The number of users of each kind, without the deltas.
CREATE TABLE user_totals (
    status text NOT NULL,
    login_type text NOT NULL,
    n bigint NOT NULL,
    PRIMARY KEY (status, login_type)
);

COMMENT ON TABLE user_totals IS 'How many users are neither deleted nor of the system, but for user_count_deltas.';

-- The same for each part of the list, so that the rank of a user, or the user at a rank, costs
-- one bucket and not half the list. At first there is one bucket.
CREATE TABLE user_buckets (
    lo text COLLATE "C" NOT NULL,
    status text NOT NULL,
    login_type text NOT NULL,
    n integer NOT NULL,
    PRIMARY KEY (lo, status, login_type)
) WITH (
    fillfactor = 70
);

COMMENT ON TABLE user_buckets IS 'The numbers of user_totals for each part of the list.';
COMMENT ON COLUMN user_buckets.lo IS 'The lower-cased username that the bucket begins at; it ends where the next one begins.';

-- Changes only add rows here, so that they never wait for each other.
CREATE TABLE user_count_deltas (
    key text COLLATE "C" NOT NULL,
    status text NOT NULL,
    login_type text NOT NULL,
    d integer NOT NULL
) WITH (
    -- Every page reads the table, and each row lives for seconds.
    autovacuum_vacuum_scale_factor = 0,
    autovacuum_vacuum_threshold = 500,
    autovacuum_vacuum_cost_delay = 0
);

-- There is no key that identifies a row to a logical replica.
ALTER TABLE user_count_deltas REPLICA IDENTITY FULL;

COMMENT ON TABLE user_count_deltas IS 'What user_totals and user_buckets do not count yet. Servers fold it into them every few seconds.';
COMMENT ON COLUMN user_count_deltas.key IS 'The lower-cased username.';
COMMENT ON COLUMN user_count_deltas.d IS 'How many users of the kind came (1) or went (-1) there.';

-- A third of the size of users, so that searches with many matches read less.
CREATE TABLE user_list (
    id uuid NOT NULL,
    key text COLLATE "C" NOT NULL,
    email text NOT NULL,
    status text NOT NULL,
    login_type text NOT NULL
);

ALTER TABLE user_list REPLICA IDENTITY FULL;

COMMENT ON TABLE user_list IS 'Users that are neither deleted nor of the system, to be searched.';
COMMENT ON COLUMN user_list.key IS 'The lower-cased username.';
COMMENT ON COLUMN user_list.email IS 'The lower-cased address.';

-- For each statement, so that there is one call and not one per row.
CREATE FUNCTION list_new_users() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO user_count_deltas (key, status, login_type, d)
    SELECT lower(username), status, login_type, 1
    FROM inserted
    WHERE NOT deleted AND NOT is_system;
    INSERT INTO user_list (id, key, email, status, login_type)
    SELECT id, lower(username), lower(email), status, login_type
    FROM inserted
    WHERE NOT deleted AND NOT is_system;
    RETURN NULL;
END
$$;

CREATE TRIGGER users_list_new AFTER INSERT ON users
    REFERENCING NEW TABLE AS inserted
    FOR EACH STATEMENT
    EXECUTE FUNCTION list_new_users();

CREATE FUNCTION unlist_removed_users() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO user_count_deltas (key, status, login_type, d)
    SELECT lower(username), status, login_type, -1
    FROM removed
    WHERE NOT deleted AND NOT is_system;
    DELETE FROM user_list USING removed
    WHERE user_list.key = lower(removed.username) AND user_list.id = removed.id;
    RETURN NULL;
END
$$;

CREATE TRIGGER users_unlist_removed AFTER DELETE ON users
    REFERENCING OLD TABLE AS removed
    FOR EACH STATEMENT
    EXECUTE FUNCTION unlist_removed_users();

-- Runs before the truncation, while the rows can still be counted.
CREATE FUNCTION unlist_truncated_users() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO user_count_deltas (key, status, login_type, d)
    SELECT lower(username), status, login_type, -1
    FROM users
    WHERE NOT deleted AND NOT is_system;
    DELETE FROM user_list;
    RETURN NULL;
END
$$;

CREATE TRIGGER users_unlist_truncated BEFORE TRUNCATE ON users
    FOR EACH STATEMENT
    EXECUTE FUNCTION unlist_truncated_users();

CREATE FUNCTION list_changed_user() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    was_listed constant boolean := NOT OLD.deleted AND NOT OLD.is_system;
    is_listed constant boolean := NOT NEW.deleted AND NOT NEW.is_system;
BEGIN
    IF was_listed THEN
        INSERT INTO user_count_deltas (key, status, login_type, d)
        VALUES (lower(OLD.username), OLD.status, OLD.login_type, -1);
    END IF;
    IF is_listed THEN
        INSERT INTO user_count_deltas (key, status, login_type, d)
        VALUES (lower(NEW.username), NEW.status, NEW.login_type, 1);
    END IF;
    IF was_listed AND is_listed THEN
        UPDATE user_list
        SET id = NEW.id, key = lower(NEW.username), email = lower(NEW.email),
            status = NEW.status, login_type = NEW.login_type
        WHERE key = lower(OLD.username) AND id = OLD.id;
    ELSIF was_listed THEN
        DELETE FROM user_list WHERE key = lower(OLD.username) AND id = OLD.id;
    ELSIF is_listed THEN
        INSERT INTO user_list (id, key, email, status, login_type)
        VALUES (NEW.id, lower(NEW.username), lower(NEW.email), NEW.status, NEW.login_type);
    END IF;
    RETURN NULL;
END
$$;

-- Only for listed columns: the frequent update of last_seen_at does not call it.
CREATE TRIGGER users_list_changed AFTER UPDATE ON users
    FOR EACH ROW WHEN (
        OLD.id IS DISTINCT FROM NEW.id
        OR OLD.username IS DISTINCT FROM NEW.username
        OR OLD.email IS DISTINCT FROM NEW.email
        OR OLD.status IS DISTINCT FROM NEW.status
        OR OLD.login_type IS DISTINCT FROM NEW.login_type
        OR OLD.deleted IS DISTINCT FROM NEW.deleted
        OR OLD.is_system IS DISTINCT FROM NEW.is_system
    )
    EXECUTE FUNCTION list_changed_user();

-- Existing users, in the order of the list, so that reads are sequential.
INSERT INTO user_list (id, key, email, status, login_type)
SELECT id, lower(username), lower(email), status, login_type
FROM users
WHERE NOT deleted AND NOT is_system
ORDER BY lower(username);

INSERT INTO user_totals (status, login_type, n)
SELECT status, login_type, count(*) FROM user_list GROUP BY status, login_type;

INSERT INTO user_buckets (lo, status, login_type, n)
SELECT '', status, login_type, n FROM user_totals;

CREATE INDEX user_list_key_idx ON user_list (key);

-- Without pg_trgm (see the migration users_search) the same queries scan user_list.
-- Every search reads the list of pending entries; 1 MB keeps that cheap, and inserting without
-- the list would double the cost of creating a user.
DO $$
BEGIN
    CREATE INDEX user_list_search_idx ON user_list
        USING gin (key gin_trgm_ops, email gin_trgm_ops)
        WITH (gin_pending_list_limit = 1024);
EXCEPTION
    -- The extension is missing, or in a schema that is not on the search path.
    WHEN undefined_object THEN
        RAISE NOTICE 'searching users will scan, for want of pg_trgm: %', SQLERRM;
END
$$;
