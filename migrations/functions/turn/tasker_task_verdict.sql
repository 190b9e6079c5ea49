-- The verdict on a task by its steps: the state that it is in from now on. `p_open_steps` are not complete or resolved,
-- `p_movable_steps` may still move by themselves, `p_started`: a step was claimed, `p_has_failed_step`: one
-- is in error. A task that has ended keeps its state: only an operator moves it.
-- Reads no table; inlined, so that p_has_failed_step costs nothing until it decides. Raises nothing.
-- Called by the turn, by the operators' tasker_settle_task and by `tasker db check`.
CREATE OR REPLACE FUNCTION tasker_task_verdict(p_state text, p_open_steps int, p_movable_steps int, p_started boolean,
    p_has_failed_step boolean) RETURNS text
LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN p_state NOT IN ('pending', 'in_progress') THEN p_state
                WHEN p_open_steps = 0 THEN 'complete'
                WHEN p_movable_steps = 0 THEN CASE WHEN p_has_failed_step THEN 'error' ELSE 'cancelled' END
                WHEN p_started THEN 'in_progress'
                ELSE p_state END
$$;
