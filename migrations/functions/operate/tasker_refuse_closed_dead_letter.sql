-- Why an operation on this dead letter cannot go on. A repeated operation is no fault.
-- Reads only. Returns one tasker_operation, or no row when the dead letter is open. Raises nothing.
-- Called by the operations on dead letters.
CREATE OR REPLACE FUNCTION tasker_refuse_closed_dead_letter(p_dead_letter_id bigint, p_wanted text) RETURNS SETOF tasker_operation
LANGUAGE sql STABLE AS $$
    SELECT r.* FROM (SELECT p_dead_letter_id AS id) x
    LEFT JOIN tasker_dead_letters d ON d.dead_letter_id = x.id
    CROSS JOIN LATERAL tasker_operation_result(
        CASE WHEN d.dead_letter_id IS NULL THEN 'not_found' WHEN d.resolution = p_wanted THEN 'unchanged'
             ELSE 'refused' END,
        CASE WHEN d.dead_letter_id IS NULL THEN 'unknown_dead_letter' WHEN d.resolution = p_wanted
             THEN 'already_' || p_wanted ELSE 'dead_letter_closed' END,
        CASE WHEN d.dead_letter_id IS NULL THEN format('there is no dead letter %s', x.id)
             ELSE format('dead letter %s was %s already', x.id, d.resolution) END,
        d.task_id, d.workflow_step_id, d.dead_letter_id) r
    WHERE d.dead_letter_id IS NULL OR d.resolved_at IS NOT NULL
$$;
