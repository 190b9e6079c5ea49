-- Whether a batch may go from one state to another by this event; its first transition comes from null. The table
-- Machine<BatchState> in orchestrator/core/states.hpp is its twin (whose three finish_* events are one word here:
-- the state shows how the batch finished); a test compares them cell by cell.
-- Reads no table, raises nothing. Called by `tasker db check`.
CREATE OR REPLACE FUNCTION tasker_is_legal_batch_transition(p_from text, p_to text, p_event text) RETURNS boolean
LANGUAGE sql IMMUTABLE AS $$
    SELECT (coalesce(p_from, 'nothing'), p_event, p_to) IN (
        ('nothing', 'claim', 'created'),
        ('created', 'publish', 'published'),
        ('created', 'cancel', 'cancelled'),
        ('published', 'start', 'executing'),
        ('published', 'time_out', 'timed_out'),
        ('published', 'cancel', 'cancelled'),
        ('executing', 'finish', 'completed'),
        ('executing', 'finish', 'partially_failed'),
        ('executing', 'finish', 'failed'),
        ('executing', 'time_out', 'timed_out'),
        ('executing', 'cancel', 'cancelled'))
$$;
