-- One turn of the listener: everything that happened since the last one is written, and what became ready is claimed,
-- in one transaction and one round trip. Each section is a function of its own, called when its input is not empty:
-- that costs 2.4 % of a turn of one step and about 1 % of one of a hundred, `new_batches` a quarter of it.
-- Locks: the order is that of the whole system: the lane's row, tasks by ascending id, then their steps (protected by
-- the task's lock), then batches. Claiming takes its candidates with SKIP LOCKED and never waits.
-- A statement costs 30 to 80 µs before its first row, which is most of a small turn, so sections are few statements.
-- Every statement names the lowest id it can meet, so that partitions of long ago are left out before they are opened.
-- (The highest too would leave out the open partition; but of a range the planner believes that it holds one row in
-- 200, and then reads it for each row of the other side. Naming a step's task too would let the planner choose the
-- partition anew for each row: 7 % slower.) The session's planner settings (store/turn_store.cpp)
-- keep every access to an index, also in plans made while the tables were empty, which a lane keeps for as long as its
-- session lasts. A function with settings of its own costs 1.5 % of a small task.
-- Raises TK001 when another orchestrator has taken the lane over, 40001 when a row changed that no lock protects: the
-- turn is repeated. Called by the orchestrator, by name, once per turn of a lane.
-- Parameters come in parallel arrays, one prefix per kind:
--   p_lane of p_lanes looks for waiting steps of its own shards only; what it meets of others, row locks order
--   p_notify  NOTIFY tasker_done of ended tasks with this transaction: sooner than afterwards, but the server lets only
--      one transaction that notifies commit at a time
--   p_tasks   the tasks of all of these, ascending      p_low_batch   the lowest batch of all of these
--   m_* messages to record, in order of arrival; class: final (at most one for a delivery) | duplicate | noted |
--      unknown | stale_attempt
--      m_bytes: the output's length as text, once it stands in a request
--      m_unusable: the worker's word stands in `status`, but its output cannot be kept: the attempt ends in error
--   h_* steps handed back unstarted (h_cause: why one can never be sent)
--   z_* steps whose handler asks to be called again after z_wait seconds; it may do so z_max times
--   r_* steps reported running      b_* batches whose state moves
--   o_* deliveries that are orphans: their worker is gone or their time is up; try_alone: perhaps a neighbour's fault
--   g_* deliveries whose worker asks to start (claim_first)
--   k_* handler keys that may be claimed, per profile (sessions that serve the same keys); scan: waiting steps too,
--   from
--      (falling, step_id) on: nothing of that key waits before (core/ready_position.hpp); one_namespace: all keys of
--      the
--      profile are of the same one
--   p_request_bytes  a request with more text is claimed and not built; the caller ends it (-1: none is built)
--   p_turn_bytes     no more claims than fit into this, except one
--   s_* free slots per profile (1 … p_profiles), in the order in which they are to be filled: those after `after` and
--   up
--      to `upto` are of session session_no, which indexes c_sessions
-- Rows returned, by kind:
--   report  of a final message (ord): info = disposition, name = new step state; only where it is not `applied` and
--           `complete`
--   claim   one per claimed step; ord = its priority, none where this very turn made it ready; info
--           `request_too_large`: nothing was built of it
--   full    p_turn_bytes was reached: more may be claimed at once
--   task    whose state changed: info = state; name is set where that has been notified (p_notify)
--   more    ready steps of handler_key may still wait. info `locked`: somebody holds them; with ord = priority and
--           step_id: children of this turn, none before that place
--   orphan  (ord) info = new step state; no row when the step had moved on
--   grant   (ord) info = none, or why not
CREATE OR REPLACE FUNCTION tasker_turn(
    p_lane smallint, p_epoch bigint, p_turn bigint, p_tasks bigint[], p_low_batch bigint,
    m_class text[], m_batch_id bigint[], m_batch_step_id bigint[], m_step_id bigint[], m_task_id bigint[],
    m_attempt int[], m_type text[], m_status text[], m_worker text[], m_session text[], m_sequence bigint[],
    m_exec_ms bigint[], m_raw text[], m_output text[], m_error text[], m_bytes int[], m_retryable boolean[],
    m_handler_stopped boolean[], m_backoff double precision[], m_unusable boolean[],
    h_batch_id bigint[], h_step_id bigint[], h_task_id bigint[], h_attempt int[], h_reason text[], h_cause text[],
    z_batch_id bigint[], z_step_id bigint[], z_task_id bigint[], z_attempt int[], z_wait double precision[], z_max int[],
    z_message text[],
    o_batch_id bigint[], o_step_id bigint[], o_task_id bigint[], o_attempt int[], o_reason text[], o_try_alone boolean[],
    g_batch_id bigint[], g_step_id bigint[], g_task_id bigint[], g_attempt int[],
    r_batch_id bigint[], r_step_id bigint[], r_age_ms bigint[],
    b_batch_id bigint[], b_from text[], b_to text[], b_steps int[], b_partials int[], b_completion boolean[],
    b_reconciliation text[], b_detail text[],
    p_profiles int, k_profile int[], k_key int[], k_scan boolean[], k_falling int[], k_step_id bigint[],
    k_one_namespace boolean[],
    s_profile int[], s_session_no int[], s_after int[], s_upto int[], c_sessions text[],
    p_batch_size int, p_request_bytes bigint, p_turn_bytes bigint, p_due boolean, p_instance text, p_lanes smallint,
    p_notify boolean)
RETURNS SETOF tasker_turn_row
LANGUAGE plpgsql AS $$
DECLARE
    v_now timestamptz := clock_timestamp();
    v_low_task bigint := p_tasks[1];  -- of all that this turn touches; what it claims may be older
    v_scan_all boolean := p_due OR cardinality(h_step_id) > 0 OR cardinality(o_step_id) > 0;
    v_reported tasker_turn_reported;
    v_moved tasker_turn_move[] := '{}';
    v_grant tasker_turn_grant[] := '{}';
    v_claimed tasker_turn_claimed;
    v_rows tasker_turn_row[]; v_row tasker_turn_row;
    v_count int; v_setting text;
BEGIN
    -- The epoch guard: a predecessor that was frozen or cut off can commit nothing.
    UPDATE tasker_orchestrators o SET turn = p_turn, last_seen_at = v_now WHERE o.lane = p_lane AND o.epoch = p_epoch;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'epoch % of lane % is over: another orchestrator has taken over', p_epoch, p_lane
            USING ERRCODE = 'TK001';
    END IF;
    IF cardinality(p_tasks) > 0 THEN
        PERFORM 1 FROM tasker_tasks t WHERE t.task_id = ANY (p_tasks) AND t.task_id >= v_low_task
        ORDER BY t.task_id FOR UPDATE;
        v_now := clock_timestamp();  -- whoever held them has written a history before ours
    END IF;

    IF cardinality(m_class) > 0 THEN
        v_reported := tasker_turn_reports(v_now, v_low_task, p_low_batch, m_class, m_batch_id, m_batch_step_id, m_step_id,
            m_task_id, m_attempt, m_type, m_status, m_worker, m_session, m_sequence, m_exec_ms, m_raw, m_output, m_error,
            m_bytes, m_retryable, m_handler_stopped, m_backoff, m_unusable);
    END IF;
    IF cardinality(h_step_id) > 0 THEN
        v_moved := tasker_turn_hand_backs(v_now, v_low_task, p_low_batch, h_batch_id, h_step_id, h_attempt, h_reason,
            h_cause);
    END IF;
    IF cardinality(z_step_id) > 0 THEN
        v_moved := v_moved || tasker_turn_snoozes(v_now, v_low_task, p_low_batch, z_batch_id, z_step_id, z_attempt, z_wait,
            z_max, z_message);
    END IF;
    IF cardinality(o_step_id) > 0 THEN
        v_moved := v_moved
            || tasker_turn_orphans(v_now, v_low_task, p_low_batch, o_batch_id, o_step_id, o_attempt, o_reason,
                o_try_alone);
    END IF;
    IF cardinality(g_step_id) > 0 THEN
        v_grant := tasker_turn_starts(v_now, v_low_task, p_low_batch, g_batch_id, g_step_id, g_attempt);
    END IF;
    IF cardinality(r_step_id) > 0 THEN
        v_count := tasker_turn_running(v_now, p_low_batch, r_batch_id, r_step_id, r_age_ms);
    END IF;
    IF p_due THEN
        v_count := tasker_turn_due(v_now, p_lane, p_lanes);
    END IF;

    IF cardinality(v_reported.children) > 0 OR (p_profiles > 0 AND (v_scan_all OR true = ANY (k_scan))) THEN
        v_claimed := tasker_turn_claims(v_now, v_low_task, p_turn, p_lane, p_lanes, v_scan_all,
            coalesce(v_reported.children, '{}'), p_profiles, k_profile, k_key, k_scan, k_falling, k_step_id,
            k_one_namespace, s_profile, s_session_no, s_after, s_upto, p_request_bytes, p_turn_bytes);
        v_low_task := v_claimed.low_task;
    END IF;
    IF cardinality(v_reported.final) > 0 OR cardinality(v_claimed.claims) > 0 OR cardinality(v_moved) > 0 THEN
        v_rows := tasker_turn_tasks(v_now, v_low_task, v_reported.final, v_claimed.claims, v_claimed.children, v_moved,
            p_notify);
        FOREACH v_row IN ARRAY coalesce(v_rows, '{}') LOOP
            RETURN NEXT v_row;
        END LOOP;
    END IF;
    IF v_reported.has_dead_letter OR v_reported.has_late_success OR cardinality(v_moved) > 0 THEN
        v_count := tasker_turn_dead_letters(v_now, p_low_batch, v_reported.final, v_moved, v_reported.has_late_success,
            m_worker, m_output, m_error);
    END IF;
    IF cardinality(v_claimed.claims) > 0 THEN
        RETURN QUERY SELECT * FROM tasker_turn_new_batches(v_now, v_low_task, p_lane, p_epoch, p_turn, p_instance,
            p_batch_size, p_request_bytes, v_claimed.claims, c_sessions);
    END IF;
    IF cardinality(b_batch_id) > 0 THEN
        v_count := tasker_turn_moved_batches(v_now, p_low_batch, b_batch_id, b_from, b_to, b_steps, b_partials,
            b_completion, b_reconciliation, b_detail);
    END IF;
    IF v_reported.has_other OR cardinality(v_claimed.more) > 0 OR cardinality(v_claimed.locked) > 0
            OR cardinality(v_claimed.children) > 0 OR cardinality(v_moved) > 0 OR cardinality(v_grant) > 0 THEN
        RETURN QUERY SELECT * FROM tasker_turn_answers(v_reported.final, v_claimed.more, v_claimed.locked,
            v_claimed.children, v_moved, v_grant);
        IF v_claimed.is_full THEN  -- what was cut is among `more` or the children
            v_row := NULL;
            v_row.kind := 'full';
            RETURN NEXT v_row;
        END IF;
    END IF;
    -- At the commit a turn that notifies waits for others that do: this is no lock to give up for. (Assigned, since
    -- PERFORM would be a statement.)
    IF p_notify AND v_rows IS NOT NULL THEN
        v_setting := set_config('lock_timeout', '0', true);
    END IF;
END $$;
