-- The open delivery of each of these steps in progress, and with whom it is.
-- Reads only, by index, raises nothing. Called by tasker_explain_task.
CREATE OR REPLACE FUNCTION tasker_explain_deliveries(p_step_ids bigint[]) RETURNS SETOF tasker_explain_delivery
LANGUAGE sql STABLE SET jit = off SET enable_seqscan = off AS $$
    WITH delivered AS MATERIALIZED (
        SELECT d.* FROM unnest(p_step_ids) x(step_id) CROSS JOIN LATERAL (
            SELECT bs.workflow_step_id, bs.batch_id, bs.sequence_order, bs.started_at, bs.granted_at
            FROM tasker_step_execution_batch_steps bs
            WHERE bs.workflow_step_id = x.step_id AND bs.reported_at IS NULL AND bs.final_status IS NULL
            ORDER BY bs.attempt DESC LIMIT 1) d)
    SELECT d.workflow_step_id, b.batch_uuid::text, b.state::text, b.session::text, b.created_at, d.started_at,
           d.granted_at, w.worker_id::text, w.state::text,
           -- Without sessions nobody reports when a step starts: it has its own time after those before it in the
           -- batch.
           CASE WHEN b.session IS NULL THEN b.created_at + (
               SELECT make_interval(secs => sum(s.timeout_ms) / 1000.0)
               FROM (SELECT y.workflow_step_id FROM tasker_step_execution_batch_steps y
                     WHERE y.batch_id = d.batch_id AND y.sequence_order <= d.sequence_order OFFSET 0) y
               CROSS JOIN LATERAL (SELECT z.timeout_ms FROM tasker_workflow_steps z
                                   WHERE z.workflow_step_id = y.workflow_step_id OFFSET 0) s) END,
           w.last_heartbeat_at
    FROM delivered d
    CROSS JOIN LATERAL (SELECT * FROM tasker_step_execution_batches x WHERE x.batch_id = d.batch_id OFFSET 0) b
    LEFT JOIN tasker_workers w ON w.session = b.session
$$;
