DROP TABLE notification_messages;
