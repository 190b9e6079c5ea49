-- Steps of this lane's batches ($2 of $1, as open_batches.sql knows them) that were cancelled while their worker has them,
-- each with the reason its operator gave. A worker's log need not hold more than a paragraph of it.
SELECT b.session, b.batch_uuid, bs.workflow_step_id, bs.attempt,
       coalesce((SELECT left(h.metadata ->> 'reason', 1000) FROM tasker_workflow_step_transitions h
                 WHERE h.workflow_step_id = s.workflow_step_id AND h.sort_key = s.transition_count), 'cancelled')
FROM tasker_step_execution_batches b
JOIN tasker_step_execution_batch_steps bs ON bs.batch_id = b.batch_id
JOIN tasker_workflow_steps s ON s.workflow_step_id = bs.workflow_step_id
-- The first condition is the predicate of the index.
WHERE (b.reconciliation_status = 'pending' OR tasker_is_open_batch(b.state))
  AND tasker_is_open_batch(b.state) AND b.session IS NOT NULL
  AND bs.reported_at IS NULL AND bs.final_status IS NULL AND s.state = 'cancelled'
  AND tasker_batch_lane(b.batch_uuid) % $1::int = $2::int
ORDER BY b.batch_id, bs.sequence_order LIMIT 1000
