-- Every batch transition belongs to a batch.
SELECT 'batch transition', h.id, NULL::bigint,
       format('belongs to batch %s, which does not exist', h.batch_id)
FROM tasker_step_execution_batch_transitions h
LEFT JOIN tasker_step_execution_batches b ON b.batch_id = h.batch_id WHERE b.batch_id IS NULL
