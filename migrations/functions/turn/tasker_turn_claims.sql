-- The section `claims` of a turn: claims what is ready, profile by profile, starts the tasks of first claims, and moves
-- the claimed steps, as well as the children that wait for other parents or for credit.
-- Locks: the waiting steps that win, then the tasks that start, both skipping what somebody holds (the tasks of reports
-- are held already): a claim never waits. p_low_task: the lowest task that the turn touches; what it claims may be
-- older.
-- Returns the claims, the children that are left, and what is to be looked for again: `locked` are the handler keys of
-- steps whose task somebody holds. Raises 40001 when a step changed meanwhile.
-- Called by tasker_turn, whose comment explains k_*, s_*, p_request_bytes and p_turn_bytes.
CREATE OR REPLACE FUNCTION tasker_turn_claims(p_now timestamptz, p_low_task bigint, p_turn bigint, p_lane smallint,
    p_lanes smallint, p_scan_all boolean, p_child tasker_turn_candidate[], p_profiles int,
    k_profile int[], k_key int[], k_scan boolean[], k_falling int[], k_step_id bigint[], k_one_namespace boolean[],
    s_profile int[], s_session_no int[], s_after int[], s_upto int[], p_request_bytes bigint, p_turn_bytes bigint)
RETURNS tasker_turn_claimed LANGUAGE plpgsql AS $$
DECLARE
    v_placed tasker_turn_claimed; v_claim tasker_turn_assignment[] := '{}'; v_child tasker_turn_candidate[] := p_child;
    v_starting bigint[] := '{}'; v_more int[] := '{}'; v_locked int[] := '{}'; v_low_task bigint := p_low_task;
    v_taken bigint[] := '{}'; v_held bigint[]; v_count int; v_left bigint := p_turn_bytes;
BEGIN
    FOR v_profile IN 1 .. p_profiles LOOP
        IF v_profile > 1 THEN
            v_taken := ARRAY(SELECT a.step_id FROM unnest(v_claim) a);
        END IF;
        v_placed := tasker_turn_place(v_profile, p_turn, p_lane, p_lanes, p_scan_all, v_child, v_taken, k_profile, k_key,
            k_scan, k_falling, k_step_id, k_one_namespace, s_profile, s_session_no, s_after, s_upto, p_request_bytes);
        IF v_placed.bytes > v_left THEN
            v_placed := tasker_turn_cut(v_placed, v_child, p_request_bytes, v_left, v_profile, k_profile, k_key);
        END IF;
        v_left := v_left - v_placed.bytes;
        v_claim := v_claim || v_placed.claims;
        v_child := v_placed.children;
        v_starting := v_starting || v_placed.starting;
        v_low_task := least(v_low_task, v_placed.low_task);
        v_more := v_more || v_placed.more;
        EXIT WHEN v_placed.is_full;  -- the other profiles wait for the next turn
    END LOOP;

    -- A task's first claim moves it to in_progress, so its row is needed: where somebody holds it, skip, and look
    -- again soon.
    IF cardinality(v_starting) > 0 THEN
        v_held := ARRAY(SELECT t.task_id FROM tasker_tasks t
                        WHERE t.task_id = ANY (v_starting) AND t.task_id >= v_low_task
                        ORDER BY t.task_id FOR UPDATE SKIP LOCKED);
        -- Several steps may start one task, so fewer held than starting does not prove it.
        IF cardinality(v_held) < cardinality(v_starting) THEN
            SELECT coalesce(array_agg(x.claim) FILTER (WHERE x.is_held), '{}'),
                   coalesce(array_agg(DISTINCT x.handler_key) FILTER (WHERE NOT x.is_held), '{}')
                INTO v_claim, v_locked
            FROM (SELECT a AS claim, a.handler_key,
                         a.parents_done > 0 OR a.attempt > 1 OR a.task_id = ANY (v_held) AS is_held
                  FROM unnest(v_claim) a) x;
        END IF;
    END IF;

    IF cardinality(v_claim) > 0 THEN
        UPDATE tasker_workflow_steps s SET
            state = 'in_progress', ready_key = NULL, attempts = a.attempt, transition_count = a.sort_key,
            remaining_parents = s.remaining_parents - a.parents_done, input_bytes = a.input_bytes,
            last_attempted_at = p_now, next_attempt_at = NULL
        FROM unnest(v_claim) a
        WHERE s.workflow_step_id = a.step_id AND s.task_id >= v_low_task AND s.state = a.old_state;
        GET DIAGNOSTICS v_count = ROW_COUNT;
        IF v_count <> cardinality(v_claim) THEN
            RAISE EXCEPTION 'turn claimed % of % steps', v_count, cardinality(v_claim) USING ERRCODE = '40001';
        END IF;
    END IF;
    IF cardinality(v_child) > 0 THEN
        UPDATE tasker_workflow_steps s SET
            remaining_parents = s.remaining_parents - c.parents_done, input_bytes = c.input_bytes,
            ready_key = CASE WHEN c.is_ready THEN s.handler_key ELSE s.ready_key END
        FROM unnest(v_child) c
        WHERE s.workflow_step_id = c.step_id AND s.task_id >= v_low_task;
        GET DIAGNOSTICS v_count = ROW_COUNT;
        IF v_count <> cardinality(v_child) THEN
            RAISE EXCEPTION 'turn moved % of % steps', v_count, cardinality(v_child) USING ERRCODE = '40001';
        END IF;
    END IF;
    RETURN ROW(v_claim, v_child, v_starting, v_low_task, v_more, v_locked, 0, v_placed.is_full)::tasker_turn_claimed;
END $$;
