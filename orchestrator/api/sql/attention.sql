-- What needs somebody. $1 at most so many of each kind, $2 after how many seconds without movement a task may be stuck.
WITH ruler AS MATERIALIZED (
    SELECT o.* FROM tasker_ruling_orchestrator() o
), orchestrator AS (
    SELECT o.state, o.last_seen_at AS since FROM (SELECT 1) one LEFT JOIN ruler o ON true
    WHERE coalesce(o.down, true) AND EXISTS (SELECT FROM tasker_tasks t WHERE t.state IN ('pending', 'in_progress'))
), unserved AS MATERIALIZED (
    SELECT k.handler_key, k.handler_class, n.name AS namespace, q.steps, q.since,
           e.detail -> 'similar_handlers' AS similar_handlers
    FROM tasker_handler_keys k
    JOIN tasker_task_namespaces n ON n.task_namespace_id = k.namespace_id
    CROSS JOIN LATERAL (
        SELECT count(*) AS steps, min(greatest(s.created_at, s.next_attempt_at, s.last_attempted_at)) AS since
        FROM tasker_workflow_steps s WHERE s.ready_key = k.handler_key) q
    CROSS JOIN LATERAL tasker_explain_keys(ARRAY[k.handler_key::int], (SELECT r.epoch FROM ruler r)) e
    WHERE q.steps > 0 AND e.serving = 0 AND NOT e.plain
), failed AS (
    -- One whose step is a dead letter is named there.
    SELECT t.task_id, n.name AS namespace, nt.name, nt.version, s.workflow_step_id, s.name AS step_name,
           s.error ->> 'message' AS reason, coalesce(t.completed_at, t.updated_at) AS since
    FROM tasker_tasks t
    JOIN tasker_named_tasks nt ON nt.named_task_id = t.named_task_id
    JOIN tasker_task_namespaces n ON n.task_namespace_id = t.namespace_id
    LEFT JOIN LATERAL (SELECT x.* FROM tasker_workflow_steps x WHERE x.task_id = t.task_id AND x.state = 'error'
                       ORDER BY x.processed_at, x.workflow_step_id LIMIT 1) s ON true
    WHERE t.state = 'error' AND NOT EXISTS (SELECT FROM tasker_dead_letters d
                                            WHERE d.task_id = t.task_id AND d.resolved_at IS NULL)
), letters AS (
    SELECT d.dead_letter_id, d.task_id, d.workflow_step_id, d.name AS step_name, d.reason,
           d.last_error ->> 'message' AS message, d.has_late_result, d.on_orphan, d.created_at AS since
    FROM tasker_dead_letter_details d WHERE d.is_open
), differing AS (
    SELECT d.batch_id, d.handler_class, string_agg(DISTINCT d.kind, ', ') AS reason, max(d.updated_at) AS since
    FROM tasker_reconciliation_discrepancies d WHERE d.explained_by IS NULL AND d.acknowledged_at IS NULL
    GROUP BY d.batch_id, d.handler_class
), unmoved AS MATERIALIZED (
    SELECT t.task_id, m.since FROM tasker_tasks t
    CROSS JOIN LATERAL (
        SELECT max(h.created_at) AS since,
               bool_or(s.next_attempt_at > now() OR s.ready_key IN (SELECT u.handler_key FROM unserved u)) AS waits
        FROM tasker_workflow_steps s
        LEFT JOIN tasker_workflow_step_transitions h
               ON h.workflow_step_id = s.workflow_step_id AND h.sort_key = s.transition_count
        WHERE s.task_id = t.task_id AND s.state IN ('pending', 'in_progress', 'waiting_for_retry')) m
    WHERE t.state IN ('pending', 'in_progress') AND m.waits IS NOT TRUE
      AND coalesce(m.since, t.created_at) <= now() - make_interval(secs => $2)
    ORDER BY t.task_id LIMIT 200
), stuck AS (
    SELECT u.task_id, e.cause AS reason, u.since FROM unmoved u CROSS JOIN LATERAL tasker_explain_task(u.task_id) e
    WHERE e.workflow_step_id IS NULL
      AND (coalesce(e.cause, '') NOT IN ('running', 'plain_worker', 'no_credit', 'backoff', 'snoozed', 'handed_back',
                                         'not_before', 'no_session', 'orchestrator_down')
           OR e.next_at < now() - make_interval(secs => $2))
)
SELECT json_build_object(
    'orchestrator', json_build_object('total', (SELECT count(*) FROM orchestrator), 'items',
        coalesce((SELECT json_agg(row_to_json(x)) FROM (SELECT *, extract(epoch FROM clock_timestamp() - since)::float8 AS age_seconds
            FROM orchestrator) x), '[]')),
    'failed_tasks', json_build_object('total', (SELECT count(*) FROM failed), 'items',
        coalesce((SELECT json_agg(row_to_json(x)) FROM (SELECT *, extract(epoch FROM clock_timestamp() - since)::float8 AS age_seconds
            FROM failed ORDER BY task_id DESC LIMIT $1) x), '[]')),
    'dead_letters', json_build_object('total', (SELECT count(*) FROM letters), 'items',
        coalesce((SELECT json_agg(row_to_json(x)) FROM (SELECT *, extract(epoch FROM clock_timestamp() - since)::float8 AS age_seconds
            FROM letters ORDER BY dead_letter_id DESC LIMIT $1) x), '[]')),
    'unserved_handlers', json_build_object('total', (SELECT count(*) FROM unserved), 'items',
        coalesce((SELECT json_agg(row_to_json(x)) FROM (SELECT *, extract(epoch FROM clock_timestamp() - since)::float8 AS age_seconds
            FROM unserved ORDER BY since LIMIT $1) x), '[]')),
    'discrepancies', json_build_object('total', (SELECT count(*) FROM differing), 'items',
        coalesce((SELECT json_agg(row_to_json(x)) FROM (SELECT *, extract(epoch FROM clock_timestamp() - since)::float8 AS age_seconds
            FROM differing ORDER BY batch_id DESC LIMIT $1) x), '[]')),
    'stuck_tasks', json_build_object('total', (SELECT count(*) FROM stuck), 'items',
        coalesce((SELECT json_agg(row_to_json(x)) FROM (SELECT *, extract(epoch FROM clock_timestamp() - since)::float8 AS age_seconds
            FROM stuck ORDER BY since LIMIT $1) x), '[]')))::text
