-- Roles that an operator defines besides the built-in ones.

CREATE TABLE custom_roles (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    organization_id uuid REFERENCES organizations ON DELETE CASCADE
        CHECK (organization_id <> '00000000-0000-0000-0000-000000000000'),
    name text NOT NULL,
    display_name text NOT NULL,
    site_permissions jsonb NOT NULL DEFAULT '[]',
    org_permissions jsonb NOT NULL DEFAULT '[]',
    user_permissions jsonb NOT NULL DEFAULT '[]',
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);

COMMENT ON COLUMN custom_roles.organization_id IS 'Where the role can be held; null for a site role.';
COMMENT ON COLUMN custom_roles.site_permissions IS 'What the role allows on everything.';
COMMENT ON COLUMN custom_roles.org_permissions IS 'What the role allows within its organization.';
COMMENT ON COLUMN custom_roles.user_permissions IS 'What the role allows on what its holder owns.';

-- Two nulls would not be equal, so the nil UUID stands for the site.
CREATE UNIQUE INDEX custom_roles_name_lower_idx ON custom_roles
    (lower(name), coalesce(organization_id, '00000000-0000-0000-0000-000000000000'));
CREATE INDEX custom_roles_organization_id_idx ON custom_roles (organization_id);

-- A later role of the same name must not be assigned to anyone.
CREATE FUNCTION remove_role_from_members() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE organization_members
    SET roles = array_remove(roles, OLD.name)
    WHERE organization_id = OLD.organization_id AND OLD.name = ANY (roles);
    RETURN OLD;
END
$$;

CREATE TRIGGER custom_roles_remove_from_members BEFORE DELETE ON custom_roles
    FOR EACH ROW
    EXECUTE FUNCTION remove_role_from_members();
