-- A page of all users, or of all with some statuses and login types. Their number comes from
-- the maintained counts.
--
-- $1 text    the least key to include; '' for the start of the list
-- $2 text[]  statuses, or NULL for all
-- $3 text[]  login types, or NULL for all
-- $4 bigint  limit
-- $5 bigint  offset
WITH page AS (
    SELECT lower(username) AS key
    FROM users
    WHERE NOT deleted AND NOT is_system
      AND lower(username) >= $1
      AND ($2::text[] IS NULL OR status = ANY ($2))
      AND ($3::text[] IS NULL OR login_type = ANY ($3))
    ORDER BY lower(username)
    LIMIT $4 OFFSET $5
), counted AS (
    SELECT n FROM user_totals
    WHERE ($2 IS NULL OR status = ANY ($2)) AND ($3 IS NULL OR login_type = ANY ($3))
    UNION ALL
    SELECT d FROM user_count_deltas
    WHERE ($2 IS NULL OR status = ANY ($2)) AND ($3 IS NULL OR login_type = ANY ($3))
    UNION ALL
    -- The users before $1. CASE, since the planner scans the table for them before it is analyzed.
    SELECT CASE WHEN $1 <> '' THEN (
        SELECT -count(*) FROM users
        WHERE NOT deleted AND NOT is_system
          AND lower(username) < $1
          AND ($2 IS NULL OR status = ANY ($2))
          AND ($3 IS NULL OR login_type = ANY ($3))
    ) END
)
SELECT users.*, page.key, (SELECT sum(n)::bigint FROM counted) AS count
FROM page JOIN users ON lower(username) = key AND NOT deleted AND NOT is_system
