-- Whether a task may go from one state to another by this event; its first transition comes from null. The table
-- Machine<TaskState> in orchestrator/core/states.hpp is its twin; a test compares them cell by cell.
-- Reads no table, raises nothing. Called by `tasker db check`.
CREATE OR REPLACE FUNCTION tasker_is_legal_task_transition(p_from text, p_to text, p_event text) RETURNS boolean
LANGUAGE sql IMMUTABLE AS $$
    SELECT (coalesce(p_from, 'nothing'), p_event, p_to) IN (
        ('nothing', 'create', 'pending'),
        ('pending', 'start', 'in_progress'),
        ('pending', 'cancel', 'cancelled'),
        ('pending', 'fail', 'error'),
        ('pending', 'resolve_manually', 'resolved_manually'),
        ('in_progress', 'complete', 'complete'),
        ('in_progress', 'fail', 'error'),
        ('in_progress', 'cancel', 'cancelled'),
        ('in_progress', 'resolve_manually', 'resolved_manually'),
        ('error', 'cancel', 'cancelled'),
        ('error', 'resolve_manually', 'resolved_manually'),
        ('error', 'reopen', 'in_progress'))
$$;
