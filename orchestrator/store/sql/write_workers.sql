-- Sessions as the registry of epoch $16 knows them, one array per column; `age` is that of the last heartbeat in
-- milliseconds.
INSERT INTO tasker_workers AS w (session, worker_id, language, sdk_version, handlers, namespaces, capacity, in_flight,
    state, host, pid, epoch, last_heartbeat_at, credit_limit, free_credit, faults)
SELECT x.session, left(x.worker, 255), left(x.language, 32), left(x.sdk, 64), x.handlers::jsonb, x.namespaces::jsonb,
       x.capacity, x.in_flight, x.state, left(x.host, 255), x.pid, $16,
       clock_timestamp() - make_interval(secs => x.age / 1000.0), x.credit_limit, x.free_credit, x.faults::jsonb
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::int[], $8::int[], $9::text[],
            $10::text[], $11::int[], $12::bigint[], $13::int[], $14::int[], $15::text[])
    AS x(session, worker, language, sdk, handlers, namespaces, capacity, in_flight, state, host, pid, age, credit_limit,
         free_credit, faults)
ORDER BY x.session
ON CONFLICT (session) DO UPDATE SET
    worker_id = EXCLUDED.worker_id, handlers = EXCLUDED.handlers, namespaces = EXCLUDED.namespaces,
    capacity = EXCLUDED.capacity, in_flight = EXCLUDED.in_flight, state = EXCLUDED.state, host = EXCLUDED.host,
    pid = EXCLUDED.pid, epoch = EXCLUDED.epoch, last_heartbeat_at = EXCLUDED.last_heartbeat_at,
    credit_limit = EXCLUDED.credit_limit, free_credit = EXCLUDED.free_credit, faults = EXCLUDED.faults
