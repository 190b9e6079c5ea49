-- Most_recent marks exactly the last transition of a batch.
SELECT 'batch', b.batch_id, b.task_id,
       format('most_recent stands on transitions %s, expected on %s alone',
              coalesce(m.marked, 'none'), b.transition_count)
FROM tasker_step_execution_batches b
LEFT JOIN (SELECT batch_id, string_agg(sort_key::text, ', ' ORDER BY sort_key) AS marked
           FROM tasker_step_execution_batch_transitions WHERE most_recent GROUP BY batch_id) m
    ON m.batch_id = b.batch_id
WHERE m.marked IS DISTINCT FROM b.transition_count::text
