-- The users that match, to be read with a cursor. The conditions are those of
-- filtered_page.sql.
--
-- $13 bigint  limit, or NULL for none
-- $14 bigint  offset
SELECT *
FROM users
WHERE NOT deleted AND NOT is_system
  AND ($1::text IS NULL OR lower(username) >= $1)
  AND ($2::text[] IS NULL OR status = ANY ($2))
  AND ($3::text[] IS NULL OR login_type = ANY ($3))
  AND ($4::text[] IS NULL OR rbac_roles && $4 AND rbac_roles <> '{}' AND cardinality(rbac_roles) > 0)
  AND ($5::timestamp IS NULL OR last_seen_at <= $5)
  AND ($6::timestamp IS NULL OR last_seen_at >= $6)
  AND ($7::timestamptz IS NULL OR created_at <= $7)
  AND ($8::timestamptz IS NULL OR created_at >= $8)
  AND ($9::bigint IS NULL OR github_com_user_id = $9)
  AND ($10::uuid[] IS NULL OR id = ANY ($10))
  AND ($11::text IS NULL OR (lower(username) || E'\n' || lower(email)) LIKE $11)
  AND ($12::text IS NULL OR lower(username) LIKE $12 OR lower(email) LIKE $12)
ORDER BY lower(username)
LIMIT $13 OFFSET $14
