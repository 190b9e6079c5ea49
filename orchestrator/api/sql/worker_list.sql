-- Sessions with the age of their heartbeat, live ones first. $1 the ended ones too.
SELECT coalesce(json_agg(row_to_json(x)), '[]')::text FROM (
    SELECT w.*, (extract(epoch FROM clock_timestamp() - w.last_heartbeat_at) * 1000)::bigint AS heartbeat_age_ms
    FROM tasker_workers w WHERE $1 OR w.state NOT IN ('lost', 'left', 'gone')
    ORDER BY w.state IN ('lost', 'left', 'gone'), w.worker_id, w.first_seen_at) x
