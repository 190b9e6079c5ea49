-- How often the handler of a task's step may ask for a later time, by the task's own revision of its template.
-- Reads only, by index, raises nothing. Null when there is no such step. Called by tasker_explain_steps and
-- `tasker step show`.
CREATE OR REPLACE FUNCTION tasker_max_snoozes(p_task_id bigint, p_step_name text) RETURNS int
LANGUAGE sql STABLE AS $$
    SELECT coalesce((x.step ->> 'max_snoozes')::numeric::int, 1000)
    FROM tasker_tasks t
    JOIN tasker_task_templates tt ON tt.named_task_id = t.named_task_id AND tt.revision = t.template_revision
    CROSS JOIN LATERAL jsonb_array_elements(tt.configuration -> 'step_templates') x(step)
    WHERE t.task_id = p_task_id AND x.step ->> 'name' = p_step_name
$$;
