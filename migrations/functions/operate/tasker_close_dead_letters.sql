-- Closes the open dead letters of these steps.
-- Locks: the dead letters; the caller holds their task. Returns the last one closed, or null. Raises nothing.
-- Called by tasker_retry_failed_steps, tasker_resolve_step and tasker_cancel_task.
CREATE OR REPLACE FUNCTION tasker_close_dead_letters(p_step_ids bigint[], p_resolution text, p_reason text, p_actor text)
RETURNS bigint
LANGUAGE sql AS $$
    WITH closed AS (
        UPDATE tasker_dead_letters d SET resolved_at = clock_timestamp(), resolution = p_resolution,
            resolved_by = left(nullif(p_actor, ''), 255), resolution_reason = nullif(p_reason, '')
        WHERE d.workflow_step_id = ANY (p_step_ids) AND d.resolved_at IS NULL
        RETURNING d.dead_letter_id)
    SELECT max(c.dead_letter_id) FROM closed c
$$;
