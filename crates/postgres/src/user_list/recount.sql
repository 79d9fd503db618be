-- Rebuilds user_totals, which must be empty: what the users are without what the deltas add.
INSERT INTO user_totals (status, login_type, n)
SELECT status, login_type, sum(n)
FROM (
    SELECT status, login_type, count(*) AS n
    FROM users
    WHERE NOT deleted AND NOT is_system
    GROUP BY status, login_type
    UNION ALL
    SELECT status, login_type, -d FROM user_count_deltas
) AS counts
GROUP BY status, login_type
