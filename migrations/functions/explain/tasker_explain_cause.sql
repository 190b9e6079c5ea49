-- Why a step that has not succeeded is not running: one of tasker_explain_causes(). A reason is added here, there,
-- and in tasker_explain_next_event.
-- p_delivery: its open delivery, if it is in progress. p_blocked: a step that it waits for has failed. p_place and
-- p_key:
-- where it stands in its queue and how its handler key stands, if it may be claimed. p_hand_back: why it was handed
-- back, if it waits because of that.
-- Reads no table, raises nothing. Called by tasker_explain_steps.
CREATE OR REPLACE FUNCTION tasker_explain_cause(p_state text, p_remaining_parents int, p_claim_first boolean,
    p_claimable boolean, p_next_attempt_at timestamptz, p_hand_back text, p_blocked boolean,
    p_delivery tasker_explain_delivery, p_place tasker_explain_place, p_key tasker_explain_key) RETURNS text
LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE
        WHEN p_state = 'error' THEN 'failed'
        WHEN p_state = 'cancelled' THEN 'cancelled'
        WHEN p_state = 'in_progress' THEN
            CASE WHEN (p_delivery).step_id IS NULL THEN 'inconsistent'
                 WHEN (p_delivery).started_at IS NOT NULL THEN 'running'
                 WHEN (p_delivery).session IS NULL THEN 'plain_worker'
                 WHEN (p_delivery).batch_state <> 'executing' THEN 'published'
                 WHEN p_claim_first AND (p_delivery).granted_at IS NULL THEN 'awaiting_start_grant'
                 ELSE 'accepted' END
        WHEN p_remaining_parents > 0 THEN
            CASE WHEN p_blocked THEN 'blocked_by_failed_step' ELSE 'waiting_for_parents' END
        WHEN p_claimable THEN
            CASE WHEN (p_place).cause IS NOT NULL THEN (p_place).cause
                 WHEN (p_key).plain THEN 'plain_worker'
                 WHEN coalesce((p_key).serving, 0) = 0 THEN 'no_session'
                 -- Free credit that does not reach it: more than one turn's work stands before it.
                 WHEN (p_key).free >= 1000 THEN 'turn_full'
                 ELSE 'no_credit' END
        WHEN p_next_attempt_at IS NULL THEN 'inconsistent'
        WHEN p_state = 'waiting_for_retry' THEN 'backoff'
        WHEN p_hand_back = 'snoozed' THEN 'snoozed'
        WHEN p_hand_back IS NOT NULL THEN 'handed_back'
        ELSE 'not_before' END
$$;
