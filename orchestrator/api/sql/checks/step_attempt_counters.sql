-- Attempts and unstarted_attempts agree with the history.
SELECT 'step', s.workflow_step_id, s.task_id,
       format('%s has attempts %s and unstarted_attempts %s, its history shows %s and %s', s.name, s.attempts,
              s.unstarted_attempts, coalesce(h.started, 0), coalesce(h.handed_back, 0))
FROM tasker_workflow_steps s
LEFT JOIN (SELECT workflow_step_id, count(*) FILTER (WHERE to_state = 'in_progress') AS started,
                  count(*) FILTER (WHERE from_state = 'in_progress' AND to_state = 'pending') AS handed_back
           FROM tasker_workflow_step_transitions GROUP BY workflow_step_id) h
    ON h.workflow_step_id = s.workflow_step_id
WHERE s.attempts <> coalesce(h.started, 0) OR s.unstarted_attempts <> coalesce(h.handed_back, 0)
