-- A step in progress is out in exactly one open batch.
SELECT 'step', s.workflow_step_id, s.task_id,
       format('%s is in progress (attempt %s), but out in %s open batches', s.name, s.attempts,
              coalesce(d.open, 0))
FROM tasker_workflow_steps s
LEFT JOIN (SELECT bs.workflow_step_id, bs.attempt, count(*) AS open
           FROM tasker_step_execution_batch_steps bs
           JOIN tasker_step_execution_batches b ON b.batch_id = bs.batch_id
           WHERE tasker_is_open_batch(b.state) AND bs.reported_at IS NULL
             AND bs.final_status IS NULL
           GROUP BY bs.workflow_step_id, bs.attempt) d
    ON d.workflow_step_id = s.workflow_step_id AND d.attempt = s.attempts
WHERE s.state = 'in_progress' AND coalesce(d.open, 0) <> 1
