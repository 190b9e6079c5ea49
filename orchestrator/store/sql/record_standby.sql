-- Instance $1 on host $2 with pid $3 and endpoints $4 waits as a standby. Forgets those that were killed long ago.
WITH gone AS (
    DELETE FROM tasker_standbys WHERE last_seen_at < clock_timestamp() - interval '1 hour' AND instance <> $1
)
INSERT INTO tasker_standbys (instance, host, pid, endpoints) VALUES ($1, $2, $3, $4::jsonb)
ON CONFLICT (instance) DO UPDATE SET last_seen_at = clock_timestamp()
