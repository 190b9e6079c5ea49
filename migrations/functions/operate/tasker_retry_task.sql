-- Retries every step of a task that is in error.
-- Locks: the task, then its steps by ascending id. Batches and deliveries are never touched: what is still out at a
-- worker is ended by the orchestrator. Works also while no orchestrator runs.
-- Returns one tasker_operation. Raises 40001 when a step changed meanwhile.
-- Called by the command line, HTTP and other languages.
CREATE OR REPLACE FUNCTION tasker_retry_task(p_task_id bigint, p_reason text DEFAULT NULL, p_actor text DEFAULT NULL)
RETURNS tasker_operation
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    v_task tasker_tasks; v_ids bigint[];
BEGIN
    SELECT t.* INTO v_task FROM tasker_tasks t WHERE t.task_id = p_task_id FOR UPDATE;
    IF NOT FOUND THEN
        RETURN tasker_operation_result('not_found', 'unknown_task', format('there is no task %s', p_task_id), NULL);
    ELSIF v_task.state = 'cancelled' THEN
        RETURN tasker_operation_result('refused', 'task_cancelled',
            format('task %s is cancelled and stays so; submit it again instead', p_task_id), p_task_id);
    ELSIF v_task.state NOT IN ('pending', 'in_progress', 'error') THEN
        RETURN tasker_operation_result('refused', 'wrong_state',
            format('task %s is %s: there is nothing to retry', p_task_id, v_task.state), p_task_id);
    END IF;
    v_ids := ARRAY(SELECT s.workflow_step_id FROM tasker_workflow_steps s
                   WHERE s.task_id = p_task_id AND s.state = 'error' ORDER BY 1);
    IF v_ids = '{}' THEN
        RETURN tasker_operation_result('unchanged', 'nothing_in_error',
            format('task %s is %s and no step of it is in error', p_task_id, v_task.state), p_task_id);
    END IF;
    PERFORM tasker_retry_failed_steps(p_task_id, v_ids, p_reason, p_actor);
    RETURN tasker_operation_result('done', NULL,
        format('task %s goes on: %s ready again', p_task_id,
               CASE cardinality(v_ids) WHEN 1 THEN 'one step is' ELSE cardinality(v_ids) || ' steps are' END),
        p_task_id, NULL, NULL, v_ids, v_ids);
END $$;
