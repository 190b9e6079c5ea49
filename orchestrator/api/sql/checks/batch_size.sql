-- A batch has batch_size deliveries, in gapless order.
SELECT 'batch', b.batch_id, b.task_id,
       format('batch_size %s, but it has %s deliveries with sequence %s to %s', b.batch_size,
              coalesce(d.deliveries, 0), coalesce(d.first, 0), coalesce(d.last, 0))
FROM tasker_step_execution_batches b
LEFT JOIN (SELECT batch_id, count(*) AS deliveries, min(sequence_order) AS first, max(sequence_order) AS last,
                  count(DISTINCT sequence_order) AS places
           FROM tasker_step_execution_batch_steps GROUP BY batch_id) d ON d.batch_id = b.batch_id
WHERE d.deliveries IS DISTINCT FROM b.batch_size OR d.first <> 1 OR d.last <> b.batch_size
   OR d.places <> b.batch_size
