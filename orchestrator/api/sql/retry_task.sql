-- All steps of a task that are in error run again. $2 why, $3 who.
SELECT r.outcome, coalesce(r.code, '') AS code, r.message, row_to_json(r)::text AS json
FROM tasker_retry_task($1, $2, $3) r
