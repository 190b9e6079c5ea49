-- Which sessions of this epoch serve these handler keys. Sessions of one program announce the same, so what they
-- announce is matched once.
-- Reads only, raises nothing. Called by tasker_explain_keys.
CREATE OR REPLACE FUNCTION tasker_sessions_serving(p_keys int[], p_epoch bigint)
RETURNS TABLE (handler_key int, session text, worker_id text, state text, in_flight int, credit_limit int,
    free_credit int)
LANGUAGE sql STABLE SET jit = off AS $$
    WITH announced AS MATERIALIZED (
        SELECT DISTINCT w.handlers, w.namespaces FROM tasker_workers w
        WHERE w.epoch = p_epoch AND w.state NOT IN ('lost', 'left', 'gone')
    ), served AS MATERIALIZED (
        SELECT k.handler_key, a.handlers, a.namespaces
        FROM tasker_handler_keys k
        JOIN tasker_task_namespaces n ON n.task_namespace_id = k.namespace_id
        JOIN announced a ON tasker_matches_any(a.handlers, k.handler_class)
                        AND tasker_matches_any(a.namespaces, n.name)
        WHERE k.handler_key = ANY (p_keys)
    )
    SELECT s.handler_key, w.session::text, w.worker_id::text, w.state::text, w.in_flight, w.credit_limit,
           CASE WHEN w.state = 'ready' THEN w.free_credit ELSE 0 END
    FROM served s JOIN tasker_workers w ON w.handlers = s.handlers AND w.namespaces = s.namespaces
    WHERE w.epoch = p_epoch AND w.state NOT IN ('lost', 'left', 'gone')
$$;
