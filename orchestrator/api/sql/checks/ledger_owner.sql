-- Every ledger row belongs to a batch, and its delivery to the same one.
SELECT 'ledger row', r.id, b.task_id,
       CASE WHEN b.batch_id IS NULL THEN format('belongs to batch %s, which does not exist', r.batch_id)
            ELSE format('is about delivery %s, which batch %s does not have', r.batch_step_id, r.batch_id) END
FROM tasker_step_execution_batch_received_results r
LEFT JOIN tasker_step_execution_batches b ON b.batch_id = r.batch_id
LEFT JOIN tasker_step_execution_batch_steps bs ON bs.id = r.batch_step_id AND bs.batch_id = r.batch_id
WHERE b.batch_id IS NULL OR (r.batch_step_id IS NOT NULL AND bs.id IS NULL)
