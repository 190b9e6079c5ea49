-- Why the parent that a request names cannot be one: there is no such task, or it has no such step.
-- Reads tasks and steps. Returns {field, sentence}, null when nothing is wrong. Raises nothing.
-- Called by tasker_request_problem, which has checked the types.
CREATE OR REPLACE FUNCTION tasker_parent_problem(p_request jsonb) RETURNS text[]
LANGUAGE plpgsql STABLE AS $$
DECLARE
    v_task bigint := (p_request ->> 'parent_task_id')::numeric;
    v_step bigint := (p_request ->> 'parent_step_id')::numeric;
BEGIN
    IF v_task IS NULL THEN
        RETURN ARRAY['parent_step_id', 'needs parent_task_id beside it'];
    ELSIF NOT EXISTS (SELECT FROM tasker_tasks t WHERE t.task_id = v_task) THEN
        RETURN ARRAY['parent_task_id', format('there is no task %s', v_task)];
    ELSIF v_step IS NOT NULL AND NOT EXISTS (SELECT FROM tasker_workflow_steps s
                                             WHERE s.workflow_step_id = v_step AND s.task_id = v_task) THEN
        RETURN ARRAY['parent_step_id', format('task %s has no step %s', v_task, v_step)];
    END IF;
    RETURN NULL;
END $$;
