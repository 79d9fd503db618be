-- Notifiers listen on the channel `notification_messages`, so that a message is delivered when
-- its transaction commits and not at the next poll. A statement that inserts no row (no user
-- subscribes to the template, or the message is a duplicate) sends nothing.

CREATE FUNCTION notify_notification_messages() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM inserted) THEN
        PERFORM pg_notify('notification_messages', '');
    END IF;
    RETURN NULL;
END
$$;

CREATE TRIGGER notification_messages_notify AFTER INSERT ON notification_messages
    REFERENCING NEW TABLE AS inserted
    FOR EACH STATEMENT EXECUTE FUNCTION notify_notification_messages();
