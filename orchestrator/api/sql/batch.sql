-- One batch, by batch_id ($1) or batch_uuid ($2): its deliveries, the ledger, its history, discrepancies.
SELECT row_to_json(x)::text FROM (
    SELECT b.*, n.name AS namespace, w.worker_id,
           (SELECT coalesce(json_agg(row_to_json(j) ORDER BY j.sequence_order), '[]') FROM (
                SELECT bs.*, s.task_id, s.name, s.state, s.attempts
                FROM tasker_step_execution_batch_steps bs
                LEFT JOIN tasker_workflow_steps s ON s.workflow_step_id = bs.workflow_step_id
                WHERE bs.batch_id = b.batch_id) j) AS steps,
           (SELECT coalesce(json_agg(row_to_json(l) ORDER BY l.id), '[]') FROM (
                SELECT r.*, bs.workflow_step_id, s.name
                FROM tasker_step_execution_batch_received_results r
                LEFT JOIN tasker_step_execution_batch_steps bs
                    ON bs.batch_id = r.batch_id AND bs.id = r.batch_step_id
                LEFT JOIN tasker_workflow_steps s ON s.workflow_step_id = bs.workflow_step_id
                WHERE r.batch_id = b.batch_id) l) AS received_results,
           (SELECT coalesce(json_agg(row_to_json(h) ORDER BY h.sort_key), '[]')
            FROM tasker_step_execution_batch_transitions h WHERE h.batch_id = b.batch_id) AS transitions,
           coalesce(b.metadata -> 'discrepancies', '[]') AS discrepancies,
           (CASE WHEN b.state = 'timed_out' THEN
                (SELECT string_agg(DISTINCT bs.metadata ->> 'reason', ', ') FROM tasker_step_execution_batch_steps bs
                 WHERE bs.batch_id = b.batch_id AND bs.final_status = 'orphaned') END) AS ended_by,
           a.acknowledged_at, a.acknowledged_by, a.acknowledged_reason
    FROM tasker_step_execution_batches b
    LEFT JOIN tasker_handler_keys k ON k.handler_key = b.handler_key
    LEFT JOIN tasker_task_namespaces n ON n.task_namespace_id = k.namespace_id
    LEFT JOIN tasker_workers w ON w.session = b.session
    LEFT JOIN LATERAL (SELECT d.acknowledged_at, d.acknowledged_by, d.acknowledged_reason
                       FROM tasker_reconciliation_discrepancies d WHERE d.batch_id = b.batch_id LIMIT 1) a ON true
    WHERE b.batch_id = $1::bigint OR b.batch_uuid = $2) x
