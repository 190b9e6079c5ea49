-- One batch by its uuid, step by step, without the texts of its requests.
SELECT b.*, NULL AS context, NULL AS previous_results
FROM tasker_stored_batches b WHERE b.batch_uuid = $1 ORDER BY b.sequence_order
