-- The audit log: the user, the action, its target, the client and the response.
-- There are no foreign keys, since a row outlives the rows that it names.

CREATE TABLE audit_logs (
    id uuid PRIMARY KEY,
    time timestamptz NOT NULL,
    user_id uuid NOT NULL,
    organization_id uuid NOT NULL,
    ip inet,
    user_agent text,
    resource_type text NOT NULL
        CHECK (resource_type IN (
            'organization', 'template', 'template_version', 'user', 'workspace', 'git_ssh_key',
            'api_key', 'group', 'workspace_build', 'license', 'workspace_proxy', 'convert_login',
            'health_settings', 'oauth2_provider_app', 'oauth2_provider_app_secret', 'custom_role',
            'organization_member', 'notifications_settings', 'notification_template',
            'idp_sync_settings_organization', 'idp_sync_settings_group', 'idp_sync_settings_role',
            'workspace_agent', 'workspace_app', 'prebuilds_settings', 'task')),
    resource_id uuid NOT NULL,
    resource_target text NOT NULL,
    resource_icon text NOT NULL,
    action text NOT NULL
        CHECK (action IN (
            'create', 'write', 'delete', 'start', 'stop', 'login', 'logout', 'register',
            'request_password_reset', 'connect', 'disconnect', 'open', 'close')),
    diff jsonb NOT NULL,
    status_code integer NOT NULL,
    additional_fields jsonb NOT NULL DEFAULT '{}',
    request_id uuid NOT NULL
);

COMMENT ON COLUMN audit_logs.user_id IS 'Who did it.';
COMMENT ON COLUMN audit_logs.organization_id IS 'The nil UUID if it concerns none.';
COMMENT ON COLUMN audit_logs.ip IS 'Null if not known, like user_agent; a client behind a trusted proxy is seen through it.';
COMMENT ON COLUMN audit_logs.resource_id IS 'For keys and logins the id of their user.';
COMMENT ON COLUMN audit_logs.resource_target IS 'The name of the thing at that time; empty for sessions and settings.';
COMMENT ON COLUMN audit_logs.diff IS 'An object from field to {"old", "new", "secret"}, without the values of secrets.';
COMMENT ON COLUMN audit_logs.status_code IS 'The HTTP status of the answer.';
COMMENT ON COLUMN audit_logs.request_id IS 'The nil UUID for what the service did by itself.';

-- The list is sorted by time, newest first; each filter has an index in that order.
-- To use a partial index, a query must repeat its condition.
CREATE INDEX audit_logs_time_id_idx ON audit_logs (time DESC, id DESC);
CREATE INDEX audit_logs_user_id_time_idx ON audit_logs (user_id, time DESC);
CREATE INDEX audit_logs_organization_id_time_idx ON audit_logs (organization_id, time DESC)
    WHERE organization_id <> '00000000-0000-0000-0000-000000000000';
CREATE INDEX audit_logs_resource_type_time_idx ON audit_logs (resource_type, time DESC);
CREATE INDEX audit_logs_resource_id_time_idx ON audit_logs (resource_id, time DESC);
CREATE INDEX audit_logs_resource_target_lower_time_idx ON audit_logs (lower(resource_target), time DESC)
    WHERE resource_target <> '';
CREATE INDEX audit_logs_action_time_idx ON audit_logs (action, time DESC);
CREATE INDEX audit_logs_request_id_idx ON audit_logs (request_id);
