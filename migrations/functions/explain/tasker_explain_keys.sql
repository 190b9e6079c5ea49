-- The standing of these handler keys. `plain`: no session serves or has announced the handler in this epoch, and the
-- plain worker has a batch in hand, so these steps wait until it has ended.
-- Reads only, raises nothing. Called by tasker_explain_task.
CREATE OR REPLACE FUNCTION tasker_explain_keys(p_keys int[], p_epoch bigint) RETURNS SETOF tasker_explain_key
LANGUAGE sql STABLE SET jit = off AS $$
    WITH serving AS MATERIALIZED (
        SELECT x.*, row_number() OVER (PARTITION BY x.handler_key ORDER BY x.state <> 'ready', x.worker_id, x.session) AS no
        FROM tasker_sessions_serving(p_keys, p_epoch) x
    ), counts AS (
        SELECT v.handler_key, count(*)::int AS serving, sum(v.free_credit)::int AS free,
               jsonb_agg(jsonb_build_object('worker_id', v.worker_id, 'session', v.session, 'state', v.state,
                   'in_flight', v.in_flight, 'credit_limit', v.credit_limit, 'free_credit', v.free_credit)
                   ORDER BY v.no) FILTER (WHERE v.no <= 5) AS sessions
        FROM serving v GROUP BY v.handler_key
    ), plain AS MATERIALIZED (
        SELECT b.batch_uuid, b.created_at FROM tasker_step_execution_batches b
        WHERE (b.reconciliation_status = 'pending' OR tasker_is_open_batch(b.state))
          AND tasker_is_open_batch(b.state) AND b.session IS NULL
        ORDER BY b.batch_id LIMIT 1
    )
    SELECT k.handler_key, coalesce(c.serving, 0), coalesce(c.free, 0), p.batch_uuid IS NOT NULL,
           jsonb_strip_nulls(jsonb_build_object('namespace', n.name, 'handler_class', k.handler_class,
               'session_count', c.serving, 'sessions', c.sessions, 'plain_batch', p.batch_uuid,
               'other_namespace', CASE WHEN c.serving IS NULL THEN o.found END,
               'similar_handlers', CASE WHEN c.serving IS NULL THEN a.found END))
    FROM tasker_handler_keys k
    JOIN tasker_task_namespaces n ON n.task_namespace_id = k.namespace_id
    LEFT JOIN counts c ON c.handler_key = k.handler_key
    LEFT JOIN plain p ON c.serving IS NULL AND NOT EXISTS (
        SELECT FROM tasker_workers w WHERE w.epoch = p_epoch AND tasker_matches_any(w.handlers, k.handler_class))
    -- Workers that run the handler for other namespaces only.
    LEFT JOIN LATERAL (
        SELECT jsonb_agg(x.found) AS found FROM (
            SELECT jsonb_build_object('worker_id', w.worker_id, 'namespaces', w.namespaces) AS found
            FROM tasker_workers w
            WHERE w.epoch = p_epoch AND w.state NOT IN ('lost', 'left', 'gone')
              AND tasker_matches_any(w.handlers, k.handler_class)
            ORDER BY w.worker_id LIMIT 3) x) o ON c.serving IS NULL
    -- Announced names that differ in case, module or a final "Handler" only.
    LEFT JOIN LATERAL (
        SELECT jsonb_agg(x.found) AS found FROM (
            SELECT DISTINCT h.name AS found FROM tasker_workers w
            CROSS JOIN LATERAL jsonb_array_elements_text(w.handlers) h(name)
            WHERE w.epoch = p_epoch AND w.state NOT IN ('lost', 'left', 'gone') AND h.name <> k.handler_class
              AND regexp_replace(lower(h.name), '^.*(::|\.)|handler$', '', 'g')
                  = regexp_replace(lower(k.handler_class), '^.*(::|\.)|handler$', '', 'g')
            ORDER BY 1 LIMIT 3) x) a ON c.serving IS NULL
    WHERE k.handler_key = ANY (p_keys)
$$;
