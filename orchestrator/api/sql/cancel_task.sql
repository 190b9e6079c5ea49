-- A task is cancelled, with all steps that have not ended. $2 why, $3 who.
SELECT r.outcome, coalesce(r.code, '') AS code, r.message, row_to_json(r)::text AS json
FROM tasker_cancel_task($1, $2, $3) r
