-- The event by which a verdict takes a task to this state.
-- Reads no table; inlined, raises nothing. Called by tasker_turn_tasks and tasker_settle_task.
CREATE OR REPLACE FUNCTION tasker_task_event(p_to_state text) RETURNS text
LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE p_to_state WHEN 'in_progress' THEN 'start' WHEN 'complete' THEN 'complete' WHEN 'error' THEN 'fail'
                           ELSE 'cancel' END
$$;
