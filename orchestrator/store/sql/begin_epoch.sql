-- The next epoch, in the rows of all $1 lanes at once, for instance $2 on host $3 with pid $4 and endpoints $6. The
-- connection is that of lane $5. Rows of lanes that are no more are removed, and the one that it had as a standby.
WITH gone AS (
    DELETE FROM tasker_orchestrators WHERE lane >= $1::int
), stood_by AS (
    DELETE FROM tasker_standbys WHERE instance = $2
)
INSERT INTO tasker_orchestrators AS o (lane, instance, epoch, host, pid, backend_pids, endpoints)
SELECT n, $2, (SELECT coalesce(max(x.epoch), 0) + 1 FROM tasker_orchestrators x), $3, $4,
       CASE WHEN n = $5::int THEN ARRAY[pg_backend_pid()] ELSE '{}'::int[] END, $6::jsonb
FROM generate_series(0, $1::int - 1) n ORDER BY n
ON CONFLICT (lane) DO UPDATE SET
    instance = EXCLUDED.instance, epoch = EXCLUDED.epoch, turn = 0, state = 'starting', host = EXCLUDED.host,
    pid = EXCLUDED.pid, backend_pids = EXCLUDED.backend_pids, endpoints = EXCLUDED.endpoints,
    started_at = clock_timestamp(), last_seen_at = clock_timestamp()
RETURNING epoch
