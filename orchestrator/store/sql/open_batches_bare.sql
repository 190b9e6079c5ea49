-- The same without texts, for when one of them is more than the database can give.
SELECT b.*, NULL AS context, NULL AS previous_results
FROM tasker_stored_batches b
WHERE (b.reconciliation_status = 'pending' OR tasker_is_open_batch(b.state))
  AND tasker_batch_lane(b.batch_uuid) % $1::int = $2::int
ORDER BY b.batch_id, b.sequence_order
