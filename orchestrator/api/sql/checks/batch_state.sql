-- A batch's state is the summary of its deliveries. A report that came after the batch had ended changes its delivery,
-- not the batch.
SELECT 'batch', b.batch_id, b.task_id,
       format('is %s, but of its %s deliveries %s completed, %s failed, %s left unreported and %s are awaited: expected %s',
              b.state, d.deliveries, d.completed, d.reported - d.completed, d.left, d.awaited, d.expected)
FROM tasker_step_execution_batches b
JOIN (SELECT c.*, CASE WHEN c.awaited > 0 THEN 'an open state'
                       WHEN c.orphaned > 0 THEN 'timed_out'
                       WHEN c.reported = 0 THEN 'cancelled'
                       WHEN c.completed = c.reported THEN 'completed'
                       WHEN c.completed = 0 THEN 'failed'
                       ELSE 'partially_failed' END AS expected
      FROM (SELECT x.batch_id, count(*) AS deliveries,
                   count(*) FILTER (WHERE x.counted) AS reported,
                   count(*) FILTER (WHERE x.counted AND x.final_status = 'completed') AS completed,
                   count(*) FILTER (WHERE NOT x.counted AND x.final_status IS NOT NULL) AS left,
                   count(*) FILTER (WHERE NOT x.counted AND x.final_status = 'orphaned') AS orphaned,
                   count(*) FILTER (WHERE NOT x.counted AND x.reported_at IS NOT NULL) AS late,
                   count(*) FILTER (WHERE x.final_status IS NULL) AS awaited
            FROM (SELECT bs.batch_id, bs.final_status, bs.reported_at,
                         bs.reported_at IS NOT NULL AND bs.final_status NOT IN ('handed_back', 'orphaned')
                         AND (e.ended_at IS NULL OR bs.reported_at <= e.ended_at) AS counted
                  FROM tasker_step_execution_batch_steps bs
                  LEFT JOIN (SELECT batch_id, max(created_at) AS ended_at
                             FROM tasker_step_execution_batch_transitions
                             WHERE NOT tasker_is_open_batch(to_state)
                             GROUP BY batch_id) e ON e.batch_id = bs.batch_id) x
            GROUP BY x.batch_id) c) d ON d.batch_id = b.batch_id
WHERE CASE WHEN d.awaited > 0 THEN NOT tasker_is_open_batch(b.state)
           -- A late report hides whether its delivery was orphaned or handed back before.
           WHEN d.late > 0 THEN b.state NOT IN (d.expected, 'timed_out')
           ELSE b.state <> d.expected END
