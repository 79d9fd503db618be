-- Rebuilds the tables and triggers of the migrations user_list and user_search_text.

SELECT pg_advisory_xact_lock(x'75736804'::bigint);
LOCK TABLE users IN ACCESS EXCLUSIVE MODE;

DROP INDEX IF EXISTS users_search_idx;
DROP INDEX users_list_idx;
DROP TRIGGER users_count_changed ON users;
DROP TRIGGER users_count_truncated ON users;
DROP TRIGGER users_count_removed ON users;
DROP TRIGGER users_count_inserted ON users;
DROP FUNCTION count_changed_user();
DROP FUNCTION count_truncated_users();
DROP FUNCTION count_removed_users();
DROP FUNCTION count_inserted_users();

DELETE FROM user_count_deltas;
ALTER TABLE user_count_deltas ADD COLUMN key text COLLATE "C" NOT NULL;

CREATE TABLE user_buckets (
    lo text COLLATE "C" NOT NULL,
    status text NOT NULL,
    login_type text NOT NULL,
    n integer NOT NULL,
    PRIMARY KEY (lo, status, login_type)
) WITH (
    fillfactor = 70
);

CREATE TABLE user_list (
    id uuid NOT NULL,
    key text COLLATE "C" NOT NULL,
    email text NOT NULL,
    status text NOT NULL,
    login_type text NOT NULL
);

ALTER TABLE user_list REPLICA IDENTITY FULL;

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

INSERT INTO user_list (id, key, email, status, login_type)
SELECT id, lower(username), lower(email), status, login_type
FROM users
WHERE NOT deleted AND NOT is_system
ORDER BY lower(username);

DELETE FROM user_totals;
INSERT INTO user_totals (status, login_type, n)
SELECT status, login_type, count(*) FROM user_list GROUP BY status, login_type;

INSERT INTO user_buckets (lo, status, login_type, n)
SELECT '', status, login_type, n FROM user_totals;

CREATE INDEX user_list_key_idx ON user_list (key);

DO $$
BEGIN
    CREATE INDEX user_list_search_idx ON user_list
        USING gin ((key || E'\n' || email) gin_trgm_ops)
        WITH (gin_pending_list_limit = 1024);
EXCEPTION
    WHEN undefined_object THEN
        RAISE NOTICE 'searching users will scan the table without pg_trgm: %', SQLERRM;
END
$$;
