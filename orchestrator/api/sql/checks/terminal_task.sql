-- A task that has ended has nothing in flight but cancelled steps. A step cancelled while a worker ran it stays out
-- until that worker has answered the cancel.
SELECT 'task', t.task_id, t.task_id,
       format('is %s, but step %s (%s) is still out in batch %s', t.state, s.workflow_step_id, s.state, b.batch_id)
FROM tasker_step_execution_batches b
JOIN tasker_step_execution_batch_steps bs ON bs.batch_id = b.batch_id
JOIN tasker_workflow_steps s ON s.workflow_step_id = bs.workflow_step_id
JOIN tasker_tasks t ON t.task_id = s.task_id
WHERE tasker_is_open_batch(b.state) AND bs.final_status IS NULL AND bs.reported_at IS NULL
  AND s.state <> 'cancelled'
  AND (t.state IN ('complete', 'error')
       OR (t.state IN ('cancelled', 'resolved_manually') AND s.state = 'in_progress'))
