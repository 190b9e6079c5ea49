-- The row about the task itself, from the rows about its steps: its state once it has ended; orchestrator_down while
-- nobody drives it; else the first of its steps' causes in the order of tasker_explain_causes().
-- Reads tasker_workers only, raises nothing. p_ruler: null when no orchestrator ever ruled.
-- Called by tasker_explain_task, whose comment explains the columns.
CREATE OR REPLACE FUNCTION tasker_explain_summary(p_state text, p_completed_at timestamptz, p_instance text,
    p_epoch bigint, p_ruler_state text, p_last_seen_at timestamptz, p_down boolean, p_steps tasker_explanation[],
    p_keys tasker_explain_key[]) RETURNS tasker_explanation
LANGUAGE sql STABLE SET jit = off AS $$
    WITH causes AS (
        SELECT c.cause, c.count, array_position(tasker_explain_causes(), c.cause) AS place
        FROM (SELECT e.cause, count(*) FROM unnest(p_steps) e GROUP BY e.cause) c
    ), first AS (
        SELECT e.* FROM unnest(p_steps) e WHERE e.cause = (SELECT c.cause FROM causes c ORDER BY c.place LIMIT 1)
        ORDER BY e.next_at, e.workflow_step_id LIMIT 1
    ), task AS (
        SELECT p_state IN ('complete', 'error', 'cancelled', 'resolved_manually') AS ended, coalesce(p_down, true) AS down
    )
    SELECT NULL::bigint, NULL::text, p_state,
           CASE WHEN t.ended THEN p_state WHEN t.down THEN 'orchestrator_down' ELSE f.cause END,
           CASE WHEN t.ended THEN p_completed_at WHEN t.down THEN p_last_seen_at ELSE f.since END,
           CASE WHEN p_state = 'error' THEN 'operator_decides' WHEN t.ended THEN NULL
                WHEN t.down THEN 'orchestrator_starts' ELSE f.next_event END,
           CASE WHEN NOT t.ended AND NOT t.down THEN f.next_at END,
           CASE WHEN NOT t.ended THEN f.workflow_step_id END, NULL::bigint[], NULL::int, NULL::int, NULL::int,
           NULL::text, NULL::text, NULL::text,
           jsonb_build_object(
               'causes', coalesce((SELECT jsonb_object_agg(c.cause, c.count ORDER BY c.place) FROM causes c), '{}'),
               'orchestrator', CASE WHEN p_epoch IS NOT NULL THEN jsonb_build_object('instance', p_instance,
                   'state', p_ruler_state, 'epoch', p_epoch, 'last_seen_at', p_last_seen_at, 'down', p_down) END,
               'handlers', coalesce((SELECT jsonb_object_agg(k.detail ->> 'handler_class', k.detail)
                                     FROM unnest(p_keys) k), '{}'),
               'sessions', coalesce((SELECT jsonb_agg(to_jsonb(w) ORDER BY w.worker_id, w.session) FROM (
                   SELECT x.worker_id, x.session, x.state, x.handlers, x.namespaces, x.in_flight, x.credit_limit,
                          x.free_credit FROM tasker_workers x
                   WHERE x.epoch = p_epoch AND x.state NOT IN ('lost', 'left', 'gone')
                   ORDER BY x.worker_id, x.session LIMIT 20) w), '[]'))
    FROM task t LEFT JOIN first f ON true
$$;
