-- A step's history is gapless and ends in its state.
SELECT 'step', s.workflow_step_id, s.task_id,
       format('%s has transition_count %s and state %s, but its history has %s entries up to %s, ending in %s',
              s.name, s.transition_count, s.state, coalesce(h.entries, 0), coalesce(h.last, 0),
              coalesce(l.to_state, 'nothing'))
FROM tasker_workflow_steps s
LEFT JOIN (SELECT workflow_step_id, count(*) AS entries, min(sort_key) AS first, max(sort_key) AS last
           FROM tasker_workflow_step_transitions GROUP BY workflow_step_id) h
    ON h.workflow_step_id = s.workflow_step_id
LEFT JOIN tasker_workflow_step_transitions l
    ON l.workflow_step_id = s.workflow_step_id AND l.sort_key = h.last
WHERE h.workflow_step_id IS NULL OR h.first <> 1 OR h.entries <> h.last OR h.last <> s.transition_count
   OR l.to_state <> s.state
