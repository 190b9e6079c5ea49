-- Lanes, every orchestrator process with its role, sessions by state, and the counts of get_system_health_counts(). A
-- standby that was silent for 30 seconds, three of its beats, was killed.
SELECT json_build_object(
    'lanes', (SELECT coalesce(json_agg(row_to_json(l) ORDER BY l.lane), '[]') FROM (
                  SELECT o.*, (extract(epoch FROM clock_timestamp() - o.last_seen_at) * 1000)::bigint
                      AS last_seen_age_ms FROM tasker_orchestrators o) l),
    'orchestrators', (SELECT coalesce(json_agg(row_to_json(p) ORDER BY p.role, p.started_at), '[]') FROM (
                  SELECT 'active' AS role, o.instance, o.host, o.pid, min(o.state) AS state, min(o.started_at) AS started_at,
                         (extract(epoch FROM clock_timestamp() - min(o.last_seen_at)) * 1000)::bigint AS last_seen_age_ms
                  FROM tasker_orchestrators o GROUP BY o.instance, o.host, o.pid
                  UNION ALL
                  SELECT 'standby', s.instance, s.host, s.pid, 'waiting', s.started_at,
                         (extract(epoch FROM clock_timestamp() - s.last_seen_at) * 1000)::bigint
                  FROM tasker_standbys s WHERE s.last_seen_at > clock_timestamp() - interval '30 s') p),
    'workers', (SELECT coalesce(json_object_agg(w.state, w.count), '{}')
                FROM (SELECT state, count(*) FROM tasker_workers GROUP BY state ORDER BY state) w),
    'counts', (SELECT row_to_json(c) FROM get_system_health_counts() c))::text
