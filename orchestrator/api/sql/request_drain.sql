-- Asks the live sessions of a worker, or one session ($1), to drain within $2 ms. $3 all that share the name.
SELECT coalesce(json_agg(row_to_json(r)), '[]')::text FROM tasker_request_drain($1, $2, $3) r
