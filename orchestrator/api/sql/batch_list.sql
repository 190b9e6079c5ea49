-- Batches, newest first; `ended_by` says of a timed_out one why its steps ended without a report. $1 of a task, $2 in a state,
-- $3 at most so many, $4 with ids below this, $5 made since and $6 until, $7 of a handler class, $8 $9 $10 with a step of a
-- template (namespace, name, version), $11 with a step whose last error holds this text.
SELECT coalesce(json_agg(row_to_json(x)), '[]')::text FROM (
    SELECT b.batch_id, b.batch_uuid, b.task_id, n.name AS namespace, b.handler_class, b.state,
           b.reconciliation_status, b.batch_size, b.partial_results_received, b.final_completion_received,
           (CASE WHEN b.state = 'timed_out' THEN
                (SELECT string_agg(DISTINCT bs.metadata ->> 'reason', ', ') FROM tasker_step_execution_batch_steps bs
                 WHERE bs.batch_id = b.batch_id AND bs.final_status = 'orphaned') END) AS ended_by,
           b.session, w.worker_id, b.epoch, b.turn, b.created_at, b.updated_at
    FROM tasker_step_execution_batches b
    LEFT JOIN tasker_handler_keys k ON k.handler_key = b.handler_key
    LEFT JOIN tasker_task_namespaces n ON n.task_namespace_id = k.namespace_id
    LEFT JOIN tasker_workers w ON w.session = b.session
    WHERE ($1::bigint IS NULL OR b.batch_id IN (
               SELECT bs.batch_id FROM tasker_workflow_steps s
               JOIN tasker_step_execution_batch_steps bs ON bs.workflow_step_id = s.workflow_step_id
               WHERE s.task_id = $1))
      AND ($2::text IS NULL OR b.state = $2)
      AND ($4::bigint IS NULL OR b.batch_id < $4)
      AND ($5::timestamptz IS NULL OR b.created_at >= $5) AND ($6::timestamptz IS NULL OR b.created_at < $6)
      AND ($7::text IS NULL OR b.handler_class = $7)
      AND (($9::text IS NULL AND $11::text IS NULL) OR EXISTS (
               SELECT FROM tasker_step_execution_batch_steps bs
               JOIN tasker_workflow_steps s ON s.workflow_step_id = bs.workflow_step_id
               JOIN tasker_tasks t ON t.task_id = s.task_id
               WHERE bs.batch_id = b.batch_id AND ($11::text IS NULL OR tasker_error_holds(s.error, $11))
                 AND ($9::text IS NULL OR tasker_is_template(t.named_task_id, $8, $9, $10))))
    ORDER BY b.batch_id DESC LIMIT $3) x
