-- The kinds of notifications, their texts, and the users' preferences.

CREATE TABLE notification_templates (
    id uuid PRIMARY KEY,
    name text NOT NULL UNIQUE,
    "group" text,
    kind text NOT NULL DEFAULT 'system'
        CHECK (kind IN ('system', 'custom')),
    method text
        CHECK (method IN ('smtp', 'webhook', 'inbox')),
    enabled_by_default boolean NOT NULL DEFAULT true,
    title_template text NOT NULL,
    body_template text NOT NULL,
    actions jsonb
);

COMMENT ON TABLE notification_templates IS 'Ids, names and groups are known to clients; the texts are free to change.';
COMMENT ON COLUMN notification_templates."group" IS 'The heading under which the settings page shows the template.';
COMMENT ON COLUMN notification_templates.kind IS 'Whether the service or a user composes the message.';
COMMENT ON COLUMN notification_templates.method IS 'How to deliver besides the inbox; null for the default of the deployment.';
COMMENT ON COLUMN notification_templates.enabled_by_default IS 'Holds for users without a row in notification_preferences.';
COMMENT ON COLUMN notification_templates.title_template IS
    'In the syntax of Jinja: {{ labels.<label> }} from the payload of the message; {{ user_name }} (the username where there is none), {{ user_username }} and {{ user_email }} of the receiver; {{ base_url }}.';
COMMENT ON COLUMN notification_templates.body_template IS 'Markdown with the same placeholders, whose values have no effect as Markdown, except within code; {{ labels.<label> | urlencode }} for the address of a link.';
COMMENT ON COLUMN notification_templates.actions IS 'An array of {"label", "url"}, the links below the text, with the same placeholders, encoded for an address in the latter.';

CREATE TABLE notification_preferences (
    user_id uuid REFERENCES users ON DELETE CASCADE,
    notification_template_id uuid REFERENCES notification_templates ON DELETE CASCADE,
    disabled boolean NOT NULL DEFAULT false,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (user_id, notification_template_id)
);

COMMENT ON COLUMN notification_preferences.disabled IS 'False turns on what is off by default.';

INSERT INTO notification_templates (id, name, "group", enabled_by_default, title_template, body_template, actions) VALUES
    ('bd4b7168-d05e-4e19-ad0f-3593b77aa90f', 'Task Working', 'Task Events', false,
     '{{ labels.workspace }}: a task is under way',
     'Work has begun on the task "{{ labels.task }}".',
     '[{"label": "Open the task", "url": "{{ base_url }}/tasks/{{ user_username }}/{{ labels.workspace }}"}, {"label": "Open the workspace", "url": "{{ base_url }}/@{{ user_username }}/{{ labels.workspace }}"}]'),
    ('d4a6271c-cced-4ed0-84ad-afd02a9c7799', 'Task Idle', 'Task Events', false,
     '{{ labels.workspace }}: a task waits for you',
     'Nothing moves on the task "{{ labels.task }}" until it hears from you.',
     '[{"label": "Open the task", "url": "{{ base_url }}/tasks/{{ user_username }}/{{ labels.workspace }}"}, {"label": "Open the workspace", "url": "{{ base_url }}/@{{ user_username }}/{{ labels.workspace }}"}]'),
    ('8c5a4d12-9f7e-4b3a-a1c8-6e4f2d9b5a7c', 'Task Completed', 'Task Events', false,
     '{{ labels.workspace }}: a task is done',
     'The task "{{ labels.task }}" has come to its end, ready for you to look at.',
     '[{"label": "Open the task", "url": "{{ base_url }}/tasks/{{ user_username }}/{{ labels.workspace }}"}, {"label": "Open the workspace", "url": "{{ base_url }}/@{{ user_username }}/{{ labels.workspace }}"}]'),
    ('3b7e8f1a-4c2d-49a6-b5e9-7f3a1c8d6b4e', 'Task Failed', 'Task Events', false,
     '{{ labels.workspace }}: a task went wrong',
     'The task "{{ labels.task }}" stopped before it was done.',
     '[{"label": "Open the task", "url": "{{ base_url }}/tasks/{{ user_username }}/{{ labels.workspace }}"}, {"label": "Open the workspace", "url": "{{ base_url }}/@{{ user_username }}/{{ labels.workspace }}"}]'),

    ('281fdf73-c6d6-4cbb-8ff5-888baf8a2fff', 'Workspace Created', 'Workspace Events', false,
     'New workspace: {{ labels.workspace }}',
     'There is a new workspace {{ labels.workspace }}, made from the template {{ labels.template }}.',
     '[{"label": "Open the workspace", "url": "{{ base_url }}/@{{ user_username }}/{{ labels.workspace }}"}]'),
    ('d089fe7b-d5c5-4c0c-aaf5-689859f7d392', 'Workspace Manually Updated', 'Workspace Events', false,
     'Newer version in {{ labels.workspace }}',
     '{{ labels.initiator }} moved the workspace {{ labels.workspace }} to version {{ labels.version }} of the template {{ labels.template }}.',
     '[{"label": "Open the workspace", "url": "{{ base_url }}/@{{ user_username }}/{{ labels.workspace }}"}]'),
    ('381df2a9-c0c0-4749-420f-80a9280c66f9', 'Workspace Autobuild Failed', 'Workspace Events', true,
     'A scheduled build of {{ labels.workspace }} failed',
     'The schedule called for a build of the workspace {{ labels.workspace }}, which did not succeed: {{ labels.reason }}.',
     '[{"label": "Open the workspace", "url": "{{ base_url }}/@{{ user_username }}/{{ labels.workspace }}"}]'),
    ('f517da0b-cdc9-410f-ab89-a86107c420ed', 'Workspace Deleted', 'Workspace Events', true,
     'Gone: workspace {{ labels.workspace }}',
     'The workspace {{ labels.workspace }} no longer exists. Who: {{ labels.initiator }}. Why: {{ labels.reason }}.',
     '[{"label": "Your workspaces", "url": "{{ base_url }}/workspaces"}]'),
    ('2faeee0f-26cb-4e96-821c-85ccb9f71513', 'Workspace Manual Build Failed', 'Workspace Events', true,
     'A build of {{ labels.workspace }} failed',
     '{{ labels.initiator }} started a build of the workspace {{ labels.workspace }} from the template {{ labels.template }}, which did not succeed.',
     '[{"label": "Open the workspace", "url": "{{ base_url }}/@{{ labels.owner }}/{{ labels.workspace }}"}]'),
    ('0ea69165-ec14-4314-91f1-69566ac3c5a0', 'Workspace Marked as Dormant', 'Workspace Events', true,
     '{{ labels.workspace }} has gone to sleep',
     'The workspace {{ labels.workspace }} is dormant now ({{ labels.reason }}). Use it to keep it: it can be deleted after {{ labels.deadline }}.',
     '[{"label": "Open the workspace", "url": "{{ base_url }}/@{{ user_username }}/{{ labels.workspace }}"}]'),
    ('51ce2fdf-c9ca-4be1-8d70-628674f9bc42', 'Workspace Marked for Deletion', 'Workspace Events', true,
     '{{ labels.workspace }} is about to be deleted',
     'The workspace {{ labels.workspace }} will be deleted after {{ labels.deadline }} ({{ labels.reason }}), unless somebody uses it before.',
     '[{"label": "Open the workspace", "url": "{{ base_url }}/@{{ user_username }}/{{ labels.workspace }}"}]'),
    ('f047f6a3-5713-40f7-85aa-0394cce9fa3a', 'Workspace Out Of Disk', 'Workspace Events', true,
     '{{ labels.workspace }} runs out of disk space',
     'A volume of the workspace {{ labels.workspace }} is fuller than {{ labels.threshold }}: {{ labels.volume }}.',
     '[{"label": "Open the workspace", "url": "{{ base_url }}/@{{ user_username }}/{{ labels.workspace }}"}]'),
    ('a9d027b4-ac49-4fb1-9f6d-45af15f64e7a', 'Workspace Out Of Memory', 'Workspace Events', true,
     '{{ labels.workspace }} runs out of memory',
     'The workspace {{ labels.workspace }} uses more than {{ labels.threshold }} of its memory.',
     '[{"label": "Open the workspace", "url": "{{ base_url }}/@{{ user_username }}/{{ labels.workspace }}"}]'),
    ('c34a0c09-0704-4cac-bd1c-0c0146811c2b', 'Workspace Updated Automatically', 'Workspace Events', true,
     '{{ labels.workspace }} follows its template',
     'The workspace {{ labels.workspace }} now runs version {{ labels.version }} of its template.',
     '[{"label": "Open the workspace", "url": "{{ base_url }}/@{{ user_username }}/{{ labels.workspace }}"}]'),

    ('4e19c0ac-94e1-4532-9515-d1801aa283b2', 'User account created', 'User Events', true,
     'New account: {{ labels.username }}',
     '{{ labels.initiator }} added {{ labels.username }} to the users.',
     '[{"label": "See the account", "url": "{{ base_url }}/users?filter={{ labels.username }}"}]'),
    ('f44d9314-ad03-4bc8-95d0-5cad491da6b6', 'User account deleted', 'User Events', true,
     'Account removed: {{ labels.username }}',
     '{{ labels.initiator }} removed {{ labels.username }} from the users. All sessions and tokens of the account have ended.',
     '[{"label": "See all users", "url": "{{ base_url }}/users"}]'),
    ('b02ddd82-4733-4d02-a2d7-c36f3598997d', 'User account suspended', 'User Events', true,
     'Account locked: {{ labels.username }}',
     '{{ labels.initiator }} locked {{ labels.username }} out, until somebody activates the account again.',
     '[{"label": "See the account", "url": "{{ base_url }}/users?filter={{ labels.username }}"}]'),
    ('9f5af851-8408-4e73-a7a1-c6502ba46689', 'User account activated', 'User Events', true,
     'Account open again: {{ labels.username }}',
     '{{ labels.initiator }} let {{ labels.username }} back in.',
     '[{"label": "See the account", "url": "{{ base_url }}/users?filter={{ labels.username }}"}]'),
    ('6a2f0609-9b69-4d36-a989-9f5925b6cbff', 'Your account has been suspended', 'User Events', true,
     'You are locked out',
     '{{ labels.initiator }} suspended your account {{ labels.username }}. Nothing of yours is lost; ask an administrator if this surprises you.',
     '[]'),
    ('1a6a6bea-ee0a-43e2-9e7c-eabdb53730e4', 'Your account has been activated', 'User Events', true,
     'You can sign in again',
     '{{ labels.initiator }} opened your account {{ labels.username }} for you.',
     '[{"label": "Sign in", "url": "{{ base_url }}/login"}]'),
    ('62f86a30-2330-4b61-a26d-311ff3b608cf', 'One-Time Passcode', 'User Events', true,
     'Choose a new password',
     'Enter this passcode to choose a new password: {{ labels.one_time_passcode }}. It works once, within 20 minutes. If it was not you who asked for it, leave it alone and your password stays as it is.',
     '[{"label": "Choose a new password", "url": "{{ base_url }}/reset-password/change?email={{ user_email }}"}]'),

    ('29a09665-2a4c-403f-9648-54301670e7be', 'Template Deleted', 'Template Events', true,
     'Gone: template {{ labels.template }}',
     '{{ labels.initiator }} deleted the template {{ labels.template }}.',
     '[{"label": "See all templates", "url": "{{ base_url }}/templates"}]'),
    ('f40fae84-55a2-42cd-99fa-b41c1ca64894', 'Template Deprecated', 'Template Events', true,
     'Move on from template {{ labels.template }}',
     'The template {{ labels.template }} takes no new workspaces any more; those you have keep running. The reason given: {{ labels.reason }}.',
     '[{"label": "Your workspaces of it", "url": "{{ base_url }}/workspaces?filter=owner:me+template:{{ labels.template }}"}]'),
    ('34a20db2-e9cc-4a93-b0e4-8569699d7a00', 'Report: Workspace Builds Failed', 'Template Events', true,
     'Failed builds of your templates',
     'In the last {{ labels.period }}, {{ labels.failed }} of {{ labels.total }} builds of your templates failed: {{ labels.templates }}.',
     '[{"label": "See the workspaces", "url": "{{ base_url }}/workspaces?filter=status:failed"}]'),
    ('89d9745a-816e-4695-a17f-3d0a229e2b8d', 'Prebuilt Workspace Resource Replaced', 'Template Events', true,
     'Claiming {{ labels.workspace }} rebuilt part of it',
     'When {{ labels.claimant }} took over the prebuilt workspace {{ labels.workspace }}, resources were made anew instead of kept: {{ labels.resources }}. What was built ahead was lost; look at the template {{ labels.template }}.',
     '[{"label": "Open the template", "url": "{{ base_url }}/templates/{{ labels.organization }}/{{ labels.template }}"}]'),
    ('414d9331-c1fc-4761-b40c-d1f4702279eb', 'Prebuild Failure Limit Reached', 'Template Events', true,
     'Prebuilding of {{ labels.template }} has stopped',
     'Workspaces of the preset {{ labels.preset }} of the template {{ labels.template }} failed too often to go on building them ahead. A new version of the template starts it again.',
     '[{"label": "Open the template", "url": "{{ base_url }}/templates/{{ labels.organization }}/{{ labels.template }}"}]'),

    ('c425f63e-716a-4bf4-ae24-78348f706c3f', 'Troubleshooting Notification', 'Notification Events', true,
     'It works',
     'Somebody wanted to know whether notifications arrive. This one did.',
     '[{"label": "Notification settings", "url": "{{ base_url }}/settings/notifications"}]');

INSERT INTO notification_templates (id, name, "group", kind, title_template, body_template, actions) VALUES
    ('39b1e189-c857-4b0c-877a-511144c18516', 'Custom Notification', 'Custom Events', 'custom',
     '{{ labels.custom_title }}',
     '{{ labels.custom_message }}',
     '[]');
