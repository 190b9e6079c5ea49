-- Every delivery joins a batch and a step that it can carry.
SELECT 'delivery', bs.id, s.task_id,
       CASE WHEN b.batch_id IS NULL THEN format('belongs to batch %s, which does not exist', bs.batch_id)
            WHEN s.workflow_step_id IS NULL
            THEN format('delivers step %s, which does not exist', bs.workflow_step_id)
            ELSE format('carries step %s (handler key %s, %s) in batch %s (handler key %s, %s)',
                        s.workflow_step_id, s.handler_key, bs.expected_handler_class, b.batch_id,
                        b.handler_key, b.handler_class) END
FROM tasker_step_execution_batch_steps bs
LEFT JOIN tasker_step_execution_batches b ON b.batch_id = bs.batch_id
LEFT JOIN tasker_workflow_steps s ON s.workflow_step_id = bs.workflow_step_id
WHERE b.batch_id IS NULL OR s.handler_key <> b.handler_key OR bs.expected_handler_class <> b.handler_class
   OR (s.workflow_step_id IS NULL AND NOT tasker_step_was_dropped(bs.workflow_step_id))
