-- Lane $1 goes on with epoch $2 on this connection: its last committed turn, or no row when the epoch is over.
UPDATE tasker_orchestrators SET backend_pids = ARRAY[pg_backend_pid()], last_seen_at = clock_timestamp()
WHERE lane = $1 AND epoch = $2
RETURNING turn
