-- Organizations, their members, and the members' roles.

CREATE TABLE organizations (
    id uuid PRIMARY KEY,
    name text NOT NULL,
    display_name text NOT NULL,
    description text NOT NULL,
    icon text NOT NULL DEFAULT '',
    is_default boolean NOT NULL DEFAULT false,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    deleted boolean NOT NULL DEFAULT false
);

COMMENT ON TABLE organizations IS 'Rows are marked deleted, never removed.';
COMMENT ON COLUMN organizations.name IS 'The name in URLs. Compared without case, and free again after deletion.';
COMMENT ON COLUMN organizations.icon IS 'A URL or path; empty if there is none.';
COMMENT ON COLUMN organizations.is_default IS 'The one that the first user joins and that the nil UUID stands for.';

CREATE UNIQUE INDEX organizations_name_lower_idx ON organizations (lower(name)) WHERE NOT deleted;
CREATE UNIQUE INDEX organizations_is_default_idx ON organizations (is_default) WHERE is_default;

-- The primary key is also the index on organization_id.
CREATE TABLE organization_members (
    organization_id uuid REFERENCES organizations ON DELETE CASCADE,
    user_id uuid REFERENCES users ON DELETE CASCADE,
    roles text[] NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    PRIMARY KEY (organization_id, user_id)
);

COMMENT ON TABLE organization_members IS 'Memberships outlive the deletion of the user.';
COMMENT ON COLUMN organization_members.roles IS 'Role names without the organization. "organization-member" is implied and not listed.';

CREATE INDEX organization_members_user_id_idx ON organization_members (user_id);

CREATE FUNCTION refuse_deletion_of_peopled_organization() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    -- The user that deletes it may be a member, so one member is allowed.
    IF (
        SELECT count(*) > 1
        FROM (
            SELECT
            FROM organization_members
            JOIN users ON users.id = organization_members.user_id
            WHERE organization_members.organization_id = OLD.id AND NOT users.deleted
            LIMIT 2
        ) AS live_members
    ) THEN
        RAISE EXCEPTION 'organization % still has members', OLD.id USING
            ERRCODE = 'check_violation',
            TABLE = TG_TABLE_NAME,
            CONSTRAINT = 'organizations_empty_before_deletion';
    END IF;
    RETURN NEW;
END
$$;

COMMENT ON FUNCTION refuse_deletion_of_peopled_organization() IS 'Raises a violation of the constraint organizations_empty_before_deletion.';

CREATE TRIGGER organizations_refuse_deletion BEFORE UPDATE OF deleted ON organizations
    FOR EACH ROW WHEN (NEW.deleted AND NOT OLD.deleted)
    EXECUTE FUNCTION refuse_deletion_of_peopled_organization();

INSERT INTO organizations (id, name, display_name, description, is_default, created_at, updated_at)
VALUES (gen_random_uuid(), 'coder', 'Coder', 'The organization that everybody starts in.', true, now(), now());
