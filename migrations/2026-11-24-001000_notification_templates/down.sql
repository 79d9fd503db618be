DROP TABLE notification_preferences;
DROP TABLE notification_templates;
