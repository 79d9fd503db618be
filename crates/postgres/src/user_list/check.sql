-- The kinds of users of which the maintained number is wrong. There should be none.
SELECT format('users of status %s and login type %s', status, login_type) AS what,
       sum(maintained)::bigint AS maintained, sum(counted)::bigint AS counted
FROM (
    SELECT status, login_type, n AS maintained, 0 AS counted FROM user_totals
    UNION ALL
    SELECT status, login_type, d, 0 FROM user_count_deltas
    UNION ALL
    SELECT status, login_type, 0, count(*)
    FROM users
    WHERE NOT deleted AND NOT is_system
    GROUP BY status, login_type
) AS counts
GROUP BY status, login_type
HAVING sum(maintained) <> sum(counted)
