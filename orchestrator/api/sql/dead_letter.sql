-- One dead letter with the history of its step.
SELECT row_to_json(x)::text FROM (
    SELECT d.*, (SELECT coalesce(json_agg(row_to_json(h) ORDER BY h.sort_key), '[]')
                 FROM tasker_workflow_step_transitions h
                 WHERE h.workflow_step_id = d.workflow_step_id) AS transitions
    FROM tasker_dead_letter_details d WHERE d.dead_letter_id = $1) x
