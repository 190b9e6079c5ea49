-- A complete step was completed by a result of its last attempt.
SELECT 'step', s.workflow_step_id, s.task_id,
       format('%s is complete at attempt %s, but no completed result of that attempt was applied', s.name,
              s.attempts)
FROM tasker_workflow_steps s
WHERE s.state = 'complete' AND NOT EXISTS (
    SELECT 1 FROM tasker_step_execution_batch_steps bs
    JOIN tasker_step_execution_batch_received_results r
        ON r.batch_id = bs.batch_id AND r.batch_step_id = bs.id AND r.disposition = 'applied'
       AND r.status = 'completed'
    WHERE bs.workflow_step_id = s.workflow_step_id AND bs.attempt = s.attempts)
