-- Locks the dead letter's task, so that what is read of the dead letter afterwards holds.
-- Returns nothing, raises nothing. Called by the operations on dead letters.
CREATE OR REPLACE FUNCTION tasker_lock_dead_letter(p_dead_letter_id bigint) RETURNS void
LANGUAGE sql AS $$
    SELECT t.task_id FROM tasker_tasks t
    WHERE t.task_id = (SELECT d.task_id FROM tasker_dead_letters d WHERE d.dead_letter_id = p_dead_letter_id) FOR UPDATE
$$;
