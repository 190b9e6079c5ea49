-- Closes a dead letter that nobody will act on; its step stays in error.
-- Locks: the task, then the dead letter. Returns one tasker_operation. Raises 40001 when it changed meanwhile.
-- Called by the command line, HTTP and other languages.
CREATE OR REPLACE FUNCTION tasker_discard_dead_letter(p_dead_letter_id bigint, p_reason text DEFAULT NULL,
    p_actor text DEFAULT NULL) RETURNS tasker_operation
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    v_result tasker_operation; v_letter tasker_dead_letters;
BEGIN
    PERFORM tasker_lock_dead_letter(p_dead_letter_id);
    SELECT r.* INTO v_result FROM tasker_refuse_closed_dead_letter(p_dead_letter_id, 'discarded') r;
    IF FOUND THEN
        RETURN v_result;
    END IF;
    UPDATE tasker_dead_letters d SET resolved_at = clock_timestamp(), resolution = 'discarded',
        resolved_by = left(nullif(p_actor, ''), 255), resolution_reason = nullif(p_reason, '')
    WHERE d.dead_letter_id = p_dead_letter_id AND d.resolved_at IS NULL
    RETURNING d.* INTO v_letter;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'dead letter % changed while it was discarded', p_dead_letter_id USING ERRCODE = '40001';
    END IF;
    RETURN tasker_operation_result('done', NULL,
        format('dead letter %s is discarded; step %s stays in error', p_dead_letter_id, v_letter.workflow_step_id),
        v_letter.task_id, v_letter.workflow_step_id, p_dead_letter_id);
END $$;
