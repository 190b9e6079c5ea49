-- The discrepancies of a batch are closed. $2 why, $3 who.
SELECT r.outcome, coalesce(r.code, '') AS code, r.message, row_to_json(r)::text AS json
FROM tasker_acknowledge_batch($1, $2, $3) r
