-- At most one final result per attempt changed state.
SELECT 'step', bs.workflow_step_id, s.task_id,
       format('attempt %s has %s applied results (ledger rows %s), at most one is allowed', bs.attempt, count(*),
              string_agg(r.id::text, ', ' ORDER BY r.id))
FROM tasker_step_execution_batch_received_results r
JOIN tasker_step_execution_batch_steps bs ON bs.batch_id = r.batch_id AND bs.id = r.batch_step_id
LEFT JOIN tasker_workflow_steps s ON s.workflow_step_id = bs.workflow_step_id
WHERE r.disposition = 'applied'
GROUP BY bs.workflow_step_id, bs.attempt, s.task_id HAVING count(*) > 1
