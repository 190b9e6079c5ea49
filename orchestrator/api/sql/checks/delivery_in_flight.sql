-- What is out in an open batch is a step in progress at that attempt.
SELECT 'delivery', bs.id, s.task_id,
       format('batch %s still waits for step %s (attempt %s), which is %s at attempt %s', b.batch_id,
              s.workflow_step_id, bs.attempt, s.state, s.attempts)
FROM tasker_step_execution_batches b
JOIN tasker_step_execution_batch_steps bs ON bs.batch_id = b.batch_id
JOIN tasker_workflow_steps s ON s.workflow_step_id = bs.workflow_step_id
WHERE tasker_is_open_batch(b.state) AND bs.reported_at IS NULL AND bs.final_status IS NULL
  AND s.state <> 'cancelled' AND (s.state <> 'in_progress' OR s.attempts <> bs.attempt)
