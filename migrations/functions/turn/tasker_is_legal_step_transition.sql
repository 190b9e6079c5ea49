-- Whether a step may go from one state to another by this event; its first transition comes from null. The table
-- Machine<StepState> in orchestrator/core/states.hpp is its twin; a test compares them cell by cell.
-- Reads no table, raises nothing. Called by `tasker db check`.
CREATE OR REPLACE FUNCTION tasker_is_legal_step_transition(p_from text, p_to text, p_event text) RETURNS boolean
LANGUAGE sql IMMUTABLE AS $$
    SELECT (coalesce(p_from, 'nothing'), p_event, p_to) IN (
        ('nothing', 'create', 'pending'),
        ('pending', 'claim', 'in_progress'),
        ('pending', 'request_too_large', 'error'),
        ('pending', 'give_up', 'error'),
        ('pending', 'cancel', 'cancelled'),
        ('in_progress', 'complete', 'complete'),
        ('in_progress', 'await_retry', 'waiting_for_retry'),
        ('in_progress', 'fail', 'error'),
        ('in_progress', 'hand_back', 'pending'),
        ('in_progress', 'cancel', 'cancelled'),
        ('waiting_for_retry', 'claim', 'in_progress'),
        ('waiting_for_retry', 'complete', 'complete'),
        ('waiting_for_retry', 'cancel', 'cancelled'),
        ('error', 'retry', 'pending'),
        ('error', 'resolve_manually', 'resolved_manually'))
$$;
