-- A step in error counts as done, with the output that its last attempt reported too late. $2 why, $3 who.
SELECT r.outcome, coalesce(r.code, '') AS code, r.message, row_to_json(r)::text AS json
FROM tasker_resolve_step($1, NULL, $2, $3, true) r
