-- Asks the live sessions of a worker (by its name, or one by its session id) to finish what runs, hand back the rest
-- and leave. `p_deadline_ms`: how long running steps may take; NULL leaves it to the worker. The orchestrator carries
-- it out. A name that several live sessions share reaches none of them unless `p_all`: workers of one host may share
-- the name by chance.
-- Locks: the sessions by ascending id. Returns one row per session of that name: requested | unchanged (the same was
-- asked already) | ambiguous (nobody is asked) | ended. Notifies tasker_wake. Raises 22023 for a deadline that is
-- negative or longer than a day.
-- Called by `tasker worker drain`, HTTP and other languages.
CREATE OR REPLACE FUNCTION tasker_request_drain(p_worker text, p_deadline_ms bigint DEFAULT NULL,
    p_all boolean DEFAULT false)
RETURNS TABLE (session text, worker_id text, state text, outcome text, drain_requested_at timestamptz,
    drain_deadline_ms bigint, in_flight int)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    v_ambiguous boolean;
BEGIN
    IF p_deadline_ms NOT BETWEEN 0 AND 86400000 THEN
        RAISE EXCEPTION 'deadline_ms: is %, allowed are 0 to 86400000', p_deadline_ms
            USING ERRCODE = 'invalid_parameter_value', COLUMN = 'deadline_ms';
    END IF;
    PERFORM 1 FROM tasker_workers w WHERE w.session = p_worker OR w.worker_id = p_worker
        ORDER BY w.session FOR UPDATE;
    SELECT NOT coalesce(p_all, false) AND count(*) > 1 INTO v_ambiguous FROM tasker_workers w
    WHERE (w.session = p_worker OR w.worker_id = p_worker) AND w.state IN ('greeted', 'ready', 'suspect', 'draining');
    RETURN QUERY
        WITH asked AS (
            UPDATE tasker_workers w SET drain_requested_at = clock_timestamp(), drain_deadline_ms = p_deadline_ms
            WHERE (w.session = p_worker OR w.worker_id = p_worker) AND NOT v_ambiguous
              AND w.state IN ('greeted', 'ready', 'suspect', 'draining')
              AND (w.drain_requested_at IS NULL OR w.drain_deadline_ms IS DISTINCT FROM p_deadline_ms)
            RETURNING w.session, w.drain_requested_at, w.drain_deadline_ms)
        SELECT w.session::text, w.worker_id::text, w.state::text,
               CASE WHEN a.session IS NOT NULL THEN 'requested' WHEN w.state IN ('lost', 'left', 'gone') THEN 'ended'
                    WHEN v_ambiguous THEN 'ambiguous' ELSE 'unchanged' END,
               coalesce(a.drain_requested_at, w.drain_requested_at),
               CASE WHEN a.session IS NOT NULL THEN a.drain_deadline_ms ELSE w.drain_deadline_ms END, w.in_flight
        FROM tasker_workers w LEFT JOIN asked a ON a.session = w.session
        WHERE w.session = p_worker OR w.worker_id = p_worker
        ORDER BY w.first_seen_at, w.session;
    PERFORM pg_notify(tasker_channel('tasker_wake'), 'scan');
END $$;
