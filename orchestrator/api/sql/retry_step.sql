-- A step in error runs again. $2 why, $3 who.
SELECT r.outcome, coalesce(r.code, '') AS code, r.message, row_to_json(r)::text AS json
FROM tasker_retry_step($1, NULL, $2, $3) r
