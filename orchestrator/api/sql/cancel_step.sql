-- A step that has not ended is cancelled, and all that depend on it. $2 why, $3 who.
SELECT r.outcome, coalesce(r.code, '') AS code, r.message, row_to_json(r)::text AS json
FROM tasker_cancel_step($1, $2, $3) r
