ALTER TABLE user_deleted ALTER COLUMN id SET DEFAULT gen_random_uuid();
ALTER TABLE user_status_changes ALTER COLUMN id SET DEFAULT gen_random_uuid();
DROP FUNCTION uuid_of_now();
