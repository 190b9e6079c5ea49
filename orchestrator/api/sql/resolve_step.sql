-- A step in error counts as done, with the results $4. $2 why, $3 who.
SELECT r.outcome, coalesce(r.code, '') AS code, r.message, row_to_json(r)::text AS json
FROM tasker_resolve_step($1, $4::jsonb, $2, $3) r
