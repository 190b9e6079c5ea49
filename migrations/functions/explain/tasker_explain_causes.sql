-- The causes, in the order in which the task takes its own from its steps: what moves comes before what waits, and
-- what waits by itself before what needs somebody.
-- Reads no table, raises nothing. Called by tasker_explain_summary.
CREATE OR REPLACE FUNCTION tasker_explain_causes() RETURNS text[] LANGUAGE sql IMMUTABLE AS $$
    SELECT ARRAY['running', 'awaiting_start_grant', 'accepted', 'published', 'plain_worker', 'ready', 'namespace_turn',
                 'turn_full', 'no_credit', 'backoff', 'snoozed', 'not_before', 'handed_back', 'no_session', 'inconsistent',
                 'waiting_for_parents', 'failed', 'blocked_by_failed_step', 'cancelled']
$$;
