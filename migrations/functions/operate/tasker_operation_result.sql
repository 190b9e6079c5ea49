-- Puts together what a call did, with the states after it.
-- Reads only. Returns one tasker_operation. Raises nothing. Called by the functions of this folder.
CREATE OR REPLACE FUNCTION tasker_operation_result(p_outcome text, p_code text, p_message text, p_task_id bigint,
    p_step_id bigint DEFAULT NULL, p_dead_letter_id bigint DEFAULT NULL, p_changed bigint[] DEFAULT '{}',
    p_ready bigint[] DEFAULT '{}') RETURNS tasker_operation
LANGUAGE sql STABLE AS $$
    SELECT ROW(p_outcome, p_code, p_message, x.task_id, t.state, p_step_id, s.name, s.state, s.attempts,
               s.retry_limit, p_dead_letter_id, p_changed, p_ready)::tasker_operation
    FROM (SELECT p_task_id AS task_id) x
    LEFT JOIN tasker_tasks t ON t.task_id = x.task_id
    LEFT JOIN tasker_workflow_steps s ON s.workflow_step_id = p_step_id
$$;
