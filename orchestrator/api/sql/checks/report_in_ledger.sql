-- What is marked as reported stands in the ledger, and the other way round.
SELECT 'delivery', bs.id, s.task_id,
       CASE WHEN bs.reported_at IS NOT NULL AND bs.final_status IS NULL THEN 'is reported without a status'
            WHEN bs.reported_at IS NOT NULL
            THEN format('is reported as %s, but the ledger holds no such report', bs.final_status)
            ELSE format('is not reported, but the ledger holds %s reports that counted', r.counted) END
FROM tasker_step_execution_batch_steps bs
LEFT JOIN tasker_workflow_steps s ON s.workflow_step_id = bs.workflow_step_id
LEFT JOIN (SELECT batch_id, batch_step_id, count(*) FILTER (WHERE disposition IN ('applied', 'late')) AS counted,
                  array_agg(DISTINCT status::text)
                      FILTER (WHERE disposition IN ('applied', 'late', 'stale_attempt')) AS statuses
           FROM tasker_step_execution_batch_received_results
           WHERE message_type = 'partial_result' AND batch_step_id IS NOT NULL
           GROUP BY batch_id, batch_step_id) r
    ON r.batch_id = bs.batch_id AND r.batch_step_id = bs.id
WHERE (bs.reported_at IS NOT NULL AND (bs.final_status IS NULL OR r.statuses IS NULL
                                       -- A delivery that had ended otherwise keeps that status.
                                       OR (bs.final_status NOT IN ('handed_back', 'orphaned')
                                           AND NOT bs.final_status = ANY (r.statuses))))
   OR (bs.reported_at IS NULL AND coalesce(r.counted, 0) > 0)
