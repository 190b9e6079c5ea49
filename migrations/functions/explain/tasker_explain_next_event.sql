-- The event that ends a cause of tasker_explain_causes().
-- Reads no table; inlined, raises nothing. Called by tasker_explain_steps.
CREATE OR REPLACE FUNCTION tasker_explain_next_event(p_cause text, p_state text) RETURNS text
LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE p_cause
        WHEN 'waiting_for_parents' THEN 'parents_complete'
        WHEN 'no_credit' THEN 'credit_returns'
        WHEN 'running' THEN 'result'
        WHEN 'awaiting_start_grant' THEN 'start_grant'
        WHEN 'accepted' THEN 'start'
        WHEN 'published' THEN 'acceptance'
        WHEN 'plain_worker' THEN CASE p_state WHEN 'in_progress' THEN 'result' ELSE 'plain_batch_ends' END
        WHEN 'ready' THEN 'next_turn'
        WHEN 'namespace_turn' THEN 'next_turns'
        WHEN 'turn_full' THEN 'next_turns'
        WHEN 'backoff' THEN 'retry_due'
        WHEN 'snoozed' THEN 'wait_ends'
        WHEN 'handed_back' THEN 'offered_again'
        WHEN 'not_before' THEN 'not_before_passes'
        WHEN 'no_session' THEN 'session_connects'
        WHEN 'inconsistent' THEN 'operator_checks_database'
        ELSE 'operator_decides' END
$$;
