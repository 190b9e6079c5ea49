-- What the orchestrator refused, newest first, at most $1. A message that is no UTF-8 text is shown as hex.
SELECT coalesce(json_agg(row_to_json(x) ORDER BY x.id DESC), '[]')::text FROM (
    SELECT r.id, r.received_at, r.topic, r.code, r.reason, r.session, w.worker_id, octet_length(r.raw) AS bytes,
           octet_length(r.raw) > 65536 AS is_cut, tasker_readable_text(substring(r.raw FOR 65536)) AS raw_text,
           CASE WHEN tasker_readable_text(substring(r.raw FOR 65536)) IS NULL
                THEN encode(substring(r.raw FOR 65536), 'hex') END AS raw_hex
    FROM tasker_rejected_messages r LEFT JOIN tasker_workers w ON w.session = r.session
    ORDER BY r.id DESC LIMIT $1) x
