-- Retries the step of a dead letter, if that is still at the attempt the dead letter is about.
-- Locks: the task, then its steps by ascending id. Batches and deliveries are never touched: what is still out at a
-- worker is ended by the orchestrator. Works also while no orchestrator runs.
-- Returns one tasker_operation. Raises 40001 when the step changed meanwhile.
-- Called by the command line, HTTP and other languages.
CREATE OR REPLACE FUNCTION tasker_replay_dead_letter(p_dead_letter_id bigint, p_reason text DEFAULT NULL,
    p_actor text DEFAULT NULL) RETURNS tasker_operation
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    v_result tasker_operation; v_letter tasker_dead_letters;
BEGIN
    PERFORM tasker_lock_dead_letter(p_dead_letter_id);
    SELECT r.* INTO v_result FROM tasker_refuse_closed_dead_letter(p_dead_letter_id, 'replayed') r;
    IF FOUND THEN
        RETURN v_result;
    END IF;
    SELECT * INTO v_letter FROM tasker_dead_letters d WHERE d.dead_letter_id = p_dead_letter_id;
    v_result := tasker_retry_step(v_letter.workflow_step_id, v_letter.attempt, p_reason, p_actor);
    v_result.dead_letter_id := p_dead_letter_id;
    RETURN v_result;
END $$;
