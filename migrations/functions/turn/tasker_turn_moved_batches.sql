-- The section `moved_batches` of a turn: counters, state and verdict of the batches that moved. b_steps counts the
-- transitions (0, 1, or 2 when the batch passes through executing within this turn). A flag is cleared before the new
-- row that carries it comes.
-- Locks: the batches it writes and their newest transitions. Returns how many moved. Raises 40001 when one is not in
-- the state it is to move from. Called by tasker_turn, whose comment explains b_*.
CREATE OR REPLACE FUNCTION tasker_turn_moved_batches(p_now timestamptz, p_low_batch bigint, b_batch_id bigint[],
    b_from text[], b_to text[], b_steps int[], b_partials int[], b_completion boolean[], b_reconciliation text[],
    b_detail text[]) RETURNS int
LANGUAGE plpgsql AS $$
DECLARE v_count int;
BEGIN
    WITH moved AS (
        UPDATE tasker_step_execution_batches b SET
            state = x.to_state, transition_count = b.transition_count + x.steps,
            partial_results_received = b.partial_results_received + x.partials,
            final_completion_received = b.final_completion_received OR x.completion,
            reconciliation_status = coalesce(x.reconciliation, b.reconciliation_status),
            metadata = CASE WHEN x.detail IS NULL THEN b.metadata ELSE b.metadata || x.detail::jsonb END,
            updated_at = p_now
        FROM unnest(b_batch_id, b_from, b_to, b_steps, b_partials, b_completion, b_reconciliation, b_detail)
            AS x(id, from_state, to_state, steps, partials, completion, reconciliation, detail)
        WHERE b.batch_id = x.id AND b.batch_id >= p_low_batch AND b.state = x.from_state
        RETURNING b.batch_id, b.transition_count, x.from_state, x.to_state, x.steps
    ), cleared AS (
        UPDATE tasker_step_execution_batch_transitions t SET most_recent = false, updated_at = p_now
        FROM moved m WHERE m.steps > 0 AND t.batch_id = m.batch_id AND t.batch_id >= p_low_batch AND t.most_recent
        RETURNING m.batch_id, m.transition_count, m.from_state, m.to_state, m.steps
    ), history AS (
        INSERT INTO tasker_step_execution_batch_transitions
                (batch_id, from_state, to_state, event_name, sort_key, most_recent, created_at)
            SELECT c.batch_id, CASE WHEN i.is_last AND c.steps = 2 THEN 'executing' ELSE c.from_state END,
                   CASE WHEN i.is_last THEN c.to_state ELSE 'executing' END,
                   tasker_batch_event(CASE WHEN i.is_last THEN c.to_state ELSE 'executing' END),
                   c.transition_count - CASE WHEN i.is_last THEN 0 ELSE 1 END, i.is_last, p_now
            FROM cleared c JOIN (VALUES (true, 1), (false, 2)) AS i(is_last, needs) ON c.steps >= i.needs
    )
    SELECT count(*) INTO v_count FROM moved;
    IF v_count <> cardinality(b_batch_id) THEN
        RAISE EXCEPTION 'turn moved % of % batches', v_count, cardinality(b_batch_id) USING ERRCODE = '40001';
    END IF;
    RETURN v_count;
END $$;
