-- A batch's counters agree with its deliveries and the ledger.
SELECT 'batch', b.batch_id, b.task_id,
       format('partial_results_received %s and final_completion_received %s, but %s deliveries are reported and the ledger has %s completions that count',
              b.partial_results_received, b.final_completion_received, coalesce(d.reported, 0),
              coalesce(r.completions, 0))
FROM tasker_step_execution_batches b
LEFT JOIN (SELECT batch_id, count(*) FILTER (WHERE reported_at IS NOT NULL) AS reported
           FROM tasker_step_execution_batch_steps GROUP BY batch_id) d ON d.batch_id = b.batch_id
LEFT JOIN (SELECT batch_id, count(*) AS completions FROM tasker_step_execution_batch_received_results
           WHERE message_type = 'batch_completion' AND disposition = 'noted' GROUP BY batch_id) r
    ON r.batch_id = b.batch_id
WHERE b.partial_results_received <> coalesce(d.reported, 0)
   OR b.final_completion_received <> (coalesce(r.completions, 0) > 0)
