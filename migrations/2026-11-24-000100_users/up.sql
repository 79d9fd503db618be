-- Users. Deleting one sets `deleted`; the row stays.
-- Enums in this and the other migrations are text with a check, not Postgres enum
-- types, so that adding a value is an ordinary, transactional change.

CREATE TABLE users (
    id uuid PRIMARY KEY,
    email text NOT NULL,
    -- "C" is the order of the list. With it, comparisons of lower(username) can
    -- use the index.
    username text COLLATE "C" NOT NULL,
    name text NOT NULL DEFAULT '',
    avatar_url text NOT NULL DEFAULT '',
    login_type text NOT NULL DEFAULT 'password'
        CHECK (login_type IN ('password', 'github', 'oidc', 'token', 'none', 'oauth2_provider_app')),
    status text NOT NULL DEFAULT 'dormant'
        CHECK (status IN ('active', 'suspended', 'dormant')),
    rbac_roles text[] NOT NULL DEFAULT '{}',
    hashed_password bytea NOT NULL,
    hashed_one_time_passcode bytea,
    one_time_passcode_expires_at timestamptz,
    github_com_user_id bigint,
    quiet_hours_schedule text NOT NULL DEFAULT '',
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    last_seen_at timestamp NOT NULL DEFAULT '0001-01-01 00:00:00',
    deleted boolean NOT NULL DEFAULT false,
    is_system boolean NOT NULL DEFAULT false,
    CONSTRAINT users_one_time_passcode_check
        CHECK ((hashed_one_time_passcode IS NULL) = (one_time_passcode_expires_at IS NULL))
) WITH (
    -- Leaves room on each page for the hourly update of last_seen_at.
    fillfactor = 90
);

COMMENT ON TABLE users IS 'People, and hidden accounts of the system itself. Rows are marked deleted, never removed.';
COMMENT ON COLUMN users.name IS 'The display name; empty if there is none.';
COMMENT ON COLUMN users.status IS 'Whether the user may sign in. A dormant user becomes active by doing so.';
COMMENT ON COLUMN users.rbac_roles IS 'Site roles. "member" is implied and not listed.';
COMMENT ON COLUMN users.hashed_password IS 'The text form of an Argon2id or PBKDF2 hash; empty for a user without a password.';
COMMENT ON COLUMN users.hashed_one_time_passcode IS 'Like hashed_password. Works once, and set together with its expiry.';
COMMENT ON COLUMN users.github_com_user_id IS 'The account on github.com that the user last signed in with.';
COMMENT ON COLUMN users.quiet_hours_schedule IS 'A cron line in the user''s time zone; empty for the default of the deployment. Kept for imports.';
COMMENT ON COLUMN users.last_seen_at IS 'In UTC, about an hour exact. Year 1: never seen.';
COMMENT ON COLUMN users.is_system IS 'A hidden account: its names are taken, but no list or count shows it.';

-- Usernames and e-mail addresses of deleted users can be reused. The first index is also the
-- order of the list.
CREATE UNIQUE INDEX users_username_lower_idx ON users (lower(username)) WHERE NOT deleted;
CREATE UNIQUE INDEX users_email_lower_idx ON users (lower(email)) WHERE NOT deleted;

-- The list of users excludes deleted and system users. A query uses these indexes if
-- it repeats their whole condition. The most common status and login type need no
-- index: most users have them.
CREATE INDEX users_status_idx ON users (status, lower(username))
    WHERE NOT deleted AND NOT is_system AND status <> 'active';
CREATE INDEX users_login_type_idx ON users (login_type, lower(username))
    WHERE NOT deleted AND NOT is_system AND login_type <> 'password';
-- Few users have site roles. Without fastupdate, so that reads scan no pending entries.
CREATE INDEX users_rbac_roles_idx ON users USING gin (rbac_roles) WITH (fastupdate = off)
    WHERE NOT deleted AND NOT is_system AND rbac_roles <> '{}';
CREATE INDEX users_created_at_idx ON users (created_at)
    WHERE NOT deleted AND NOT is_system;
-- Includes status and login type, so that counts are index-only scans.
CREATE INDEX users_last_seen_at_idx ON users (last_seen_at) INCLUDE (status, login_type)
    WHERE NOT deleted AND NOT is_system;
CREATE INDEX users_github_com_user_id_idx ON users (github_com_user_id)
    WHERE NOT deleted AND github_com_user_id IS NOT NULL;

CREATE TABLE user_status_changes (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    user_id uuid NOT NULL REFERENCES users,
    new_status text NOT NULL
        CHECK (new_status IN ('active', 'suspended', 'dormant')),
    changed_at timestamptz NOT NULL
);

COMMENT ON TABLE user_status_changes IS 'The first status of each user and every change since. Written by a trigger.';

CREATE INDEX user_status_changes_changed_at_idx ON user_status_changes (changed_at);
CREATE INDEX user_status_changes_user_id_idx ON user_status_changes (user_id);

CREATE TABLE user_deleted (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    user_id uuid NOT NULL REFERENCES users,
    deleted_at timestamptz NOT NULL
);

COMMENT ON TABLE user_deleted IS 'One row for each deletion of a user. Written by a trigger.';
COMMENT ON COLUMN user_deleted.deleted_at IS 'The updated_at of the user, which deleting does not move; so not the time of the deletion.';

CREATE INDEX user_deleted_deleted_at_idx ON user_deleted (deleted_at);
CREATE INDEX user_deleted_user_id_idx ON user_deleted (user_id);

CREATE FUNCTION record_user_status() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO user_status_changes (user_id, new_status, changed_at)
    VALUES (NEW.id, NEW.status, NEW.updated_at);
    RETURN NULL;
END
$$;

CREATE TRIGGER users_record_first_status AFTER INSERT ON users
    FOR EACH ROW
    EXECUTE FUNCTION record_user_status();

CREATE TRIGGER users_record_status AFTER UPDATE OF status ON users
    FOR EACH ROW WHEN (NEW.status <> OLD.status)
    EXECUTE FUNCTION record_user_status();

CREATE FUNCTION record_user_deletion() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO user_deleted (user_id, deleted_at)
    VALUES (NEW.id, NEW.updated_at);
    RETURN NULL;
END
$$;

CREATE TRIGGER users_record_born_deleted AFTER INSERT ON users
    FOR EACH ROW WHEN (NEW.deleted)
    EXECUTE FUNCTION record_user_deletion();

CREATE TRIGGER users_record_deletion AFTER UPDATE OF deleted ON users
    FOR EACH ROW WHEN (NEW.deleted AND NOT OLD.deleted)
    EXECUTE FUNCTION record_user_deletion();

-- For tables whose rows authenticate users (api_keys, user_links). The lock waits for a
-- concurrent deletion, and a deletion waits for the lock, so that no row of a deleted
-- user is inserted. FOR KEY SHARE would not conflict with an UPDATE of other columns.
CREATE FUNCTION refuse_deleted_user() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    is_deleted boolean;
BEGIN
    SELECT deleted INTO is_deleted FROM users WHERE id = NEW.user_id FOR SHARE;
    IF is_deleted THEN
        RAISE EXCEPTION 'user % is deleted', NEW.user_id USING
            ERRCODE = 'check_violation',
            TABLE = TG_TABLE_NAME,
            CONSTRAINT = TG_TABLE_NAME || '_user_not_deleted';
    END IF;
    RETURN NEW;
END
$$;

COMMENT ON FUNCTION refuse_deleted_user() IS 'Raises a violation of the constraint <table>_user_not_deleted.';

CREATE VIEW visible_users AS
    SELECT id, username, name, avatar_url FROM users;

COMMENT ON VIEW visible_users IS 'What anybody may know of a user, deleted or not.';

-- The owner of prebuilt workspaces, with the id that clients know. It cannot sign in, and
-- its e-mail address cannot be registered.
INSERT INTO users (id, email, username, name, login_type, status, hashed_password, created_at, updated_at, is_system)
VALUES ('c42fdf75-3097-471c-8c33-fb52454d81c0', 'prebuilds@system', 'prebuilds', 'Prebuilds', 'none', 'active', '', now(), now(), true);
