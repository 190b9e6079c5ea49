-- Who serves, as far as it is recorded.
SELECT instance, host, pid, extract(epoch FROM clock_timestamp() - last_seen_at)::int AS silent
FROM tasker_orchestrators ORDER BY lane LIMIT 1
