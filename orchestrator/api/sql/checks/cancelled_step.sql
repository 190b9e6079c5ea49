-- A cancelled step stays cancelled, and so do its descendants.
SELECT 'step', s.workflow_step_id, s.task_id,
       CASE WHEN p.workflow_step_id IS NULL
            THEN format('%s was cancelled (transition %s), but is %s now', s.name, h.sort_key, s.state)
            ELSE format('%s is %s although its parent %s (step %s) is cancelled', s.name, s.state, p.name,
                        p.workflow_step_id) END
FROM tasker_workflow_steps s
LEFT JOIN tasker_workflow_step_transitions h
    ON h.workflow_step_id = s.workflow_step_id AND h.to_state = 'cancelled'
LEFT JOIN tasker_workflow_step_edges e ON e.to_step_id = s.workflow_step_id
LEFT JOIN tasker_workflow_steps p ON p.workflow_step_id = e.from_step_id AND p.state = 'cancelled'
WHERE s.state <> 'cancelled' AND (h.workflow_step_id IS NOT NULL OR p.workflow_step_id IS NOT NULL)
