-- The step of an open dead letter runs again. $2 why, $3 who.
SELECT r.outcome, coalesce(r.code, '') AS code, r.message, row_to_json(r)::text AS json
FROM tasker_replay_dead_letter($1, $2, $3) r
