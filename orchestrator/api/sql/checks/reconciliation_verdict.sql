-- A reconciliation verdict has its grounds.
SELECT 'batch', b.batch_id, b.task_id,
       CASE b.reconciliation_status WHEN 'consistent'
            THEN format('is consistent, but %s deliveries are unreported and its completion is %s', d.missing,
                        CASE WHEN b.final_completion_received THEN 'there' ELSE 'missing' END)
            ELSE 'is a discrepancy without saying what differs' END
FROM tasker_step_execution_batches b
JOIN (SELECT batch_id, count(*) FILTER (WHERE reported_at IS NULL AND final_status IS DISTINCT FROM 'handed_back')
             AS missing,
             count(*) FILTER (WHERE reported_at IS NOT NULL) AS reported
      FROM tasker_step_execution_batch_steps GROUP BY batch_id) d ON d.batch_id = b.batch_id
WHERE (b.reconciliation_status = 'consistent'
       AND (d.missing > 0 OR (d.reported > 0 AND NOT b.final_completion_received)))
   OR (b.reconciliation_status = 'discrepancy'
       AND coalesce(jsonb_array_length(CASE WHEN jsonb_typeof(b.metadata -> 'discrepancies') = 'array'
                                       THEN b.metadata -> 'discrepancies' END), 0) = 0)
