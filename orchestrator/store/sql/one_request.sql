-- The texts of one step that is out.
SELECT r.context, r.previous_results
FROM tasker_stored_batches b CROSS JOIN LATERAL tasker_step_request(b.workflow_step_id, b.task_id) r
WHERE b.batch_uuid = $1 AND b.workflow_step_id = $2
