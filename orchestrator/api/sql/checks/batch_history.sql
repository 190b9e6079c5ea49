-- A batch's history is gapless and ends in its state.
SELECT 'batch', b.batch_id, b.task_id,
       format('transition_count %s and state %s, but its history has %s entries up to %s, ending in %s',
              b.transition_count, b.state, coalesce(h.entries, 0), coalesce(h.last, 0),
              coalesce(l.to_state, 'nothing'))
FROM tasker_step_execution_batches b
LEFT JOIN (SELECT batch_id, count(*) AS entries, min(sort_key) AS first, max(sort_key) AS last
           FROM tasker_step_execution_batch_transitions GROUP BY batch_id) h ON h.batch_id = b.batch_id
LEFT JOIN tasker_step_execution_batch_transitions l ON l.batch_id = b.batch_id AND l.sort_key = h.last
WHERE h.batch_id IS NULL OR h.first <> 1 OR h.entries <> h.last OR h.last <> b.transition_count
   OR l.to_state <> b.state
