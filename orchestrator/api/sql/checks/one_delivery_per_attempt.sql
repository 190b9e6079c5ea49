-- Each attempt of a step was sent in exactly one batch.
SELECT 'step', s.workflow_step_id, s.task_id,
       format('%s has %s attempts, but was delivered %s times (%s different attempts, the last is %s)', s.name,
              s.attempts, coalesce(d.deliveries, 0), coalesce(d.attempts, 0), coalesce(d.last, 0))
FROM tasker_workflow_steps s
LEFT JOIN (SELECT workflow_step_id, count(*) AS deliveries, count(DISTINCT attempt) AS attempts,
                  max(attempt) AS last
           FROM tasker_step_execution_batch_steps GROUP BY workflow_step_id) d
    ON d.workflow_step_id = s.workflow_step_id
WHERE coalesce(d.deliveries, 0) <> s.attempts OR coalesce(d.attempts, 0) <> s.attempts
   OR coalesce(d.last, 0) <> s.attempts
