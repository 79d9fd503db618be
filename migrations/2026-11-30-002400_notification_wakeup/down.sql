DROP TRIGGER notification_messages_notify ON notification_messages;
DROP FUNCTION notify_notification_messages();
