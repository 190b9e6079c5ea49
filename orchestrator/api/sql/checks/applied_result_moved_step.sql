-- Each applied result is one transition of its step, and nothing else is.
SELECT 'step', s.workflow_step_id, s.task_id,
       format('%s has %s applied results (%s completed), its history shows %s transitions by a result (%s to complete)',
              s.name, coalesce(r.applied, 0), coalesce(r.completed, 0), coalesce(h.moved, 0),
              coalesce(h.completed, 0))
FROM tasker_workflow_steps s
LEFT JOIN (SELECT bs.workflow_step_id, count(*) AS applied,
                  -- A result that could not be kept ended its step in error.
                  count(*) FILTER (WHERE l.status = 'completed' AND l.processing_errors IS NULL) AS completed
           FROM tasker_step_execution_batch_received_results l
           JOIN tasker_step_execution_batch_steps bs ON bs.batch_id = l.batch_id AND bs.id = l.batch_step_id
           WHERE l.disposition = 'applied' GROUP BY bs.workflow_step_id) r
    ON r.workflow_step_id = s.workflow_step_id
LEFT JOIN (SELECT workflow_step_id,
                  count(*) FILTER (WHERE to_state IN ('complete', 'waiting_for_retry', 'error')
                                   AND from_state IN ('in_progress', 'waiting_for_retry')) AS moved,
                  count(*) FILTER (WHERE to_state = 'complete') AS completed
           FROM tasker_workflow_step_transitions GROUP BY workflow_step_id) h
    ON h.workflow_step_id = s.workflow_step_id
WHERE coalesce(r.applied, 0) > coalesce(h.moved, 0) OR coalesce(r.completed, 0) <> coalesce(h.completed, 0)
