-- The batches that this lane ($2 of $1) still has to do with, step by step, with the texts of what may be sent again.
SELECT b.*, r.context, r.previous_results
FROM tasker_stored_batches b
LEFT JOIN LATERAL tasker_step_request(b.workflow_step_id, b.task_id) r ON b.final_status = ''
WHERE (b.reconciliation_status = 'pending' OR tasker_is_open_batch(b.state))
  AND tasker_batch_lane(b.batch_uuid) % $1::int = $2::int
ORDER BY b.batch_id, b.sequence_order
