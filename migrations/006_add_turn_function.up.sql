-- One turn of the listener: everything that happened since the last one is written, and what became ready is
-- claimed, in one transaction and one round trip. The order inside follows the lock order of the whole system:
-- tasks by ascending id first, then their steps (protected by the task's lock), then batches. Claiming takes its
-- candidates with SKIP LOCKED and never waits.

-- A final report, first of its (step, attempt) in this turn, with what it does to the step.
CREATE TYPE tasker_turn_final AS (ord int, batch_step_id bigint, step_id bigint, task_id bigint, attempt int,
    status text, output text, error text, backoff double precision, disposition text, old_state text,
    new_state text, sort_key int);
-- A child of a step that completed in this turn: loses `k` parents.
CREATE TYPE tasker_turn_child AS (step_id bigint, task_id bigint, k int, becomes_ready boolean, handler_key int,
    priority smallint, namespace_id int, attempts int, transition_count int);
CREATE TYPE tasker_turn_claim AS (step_id bigint, task_id bigint, handler_key int, session_no int, old_state text,
    attempt int, sort_key int, ranking bigint, batch_no int, sequence_order int, batch_step_id bigint);
CREATE TYPE tasker_turn_task AS (task_id bigint, old_state text, new_state text, open_steps int, movable_steps int,
    sort_key int);

-- How a first report of the current attempt moves its step. The one place in SQL that says it; the same table is
-- in orchestrator/core/states.cpp and a test compares them.
CREATE FUNCTION tasker_step_verdict(p_status text, p_report_retryable boolean, p_handler_stopped boolean,
    p_retryable boolean, p_on_orphan text, p_counted_attempts int, p_retry_limit int) RETURNS text
LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE
        WHEN p_status = 'completed' THEN 'complete'
        WHEN p_status = 'failed' AND coalesce(p_report_retryable, true) AND p_retryable
             AND p_counted_attempts < p_retry_limit
             AND (coalesce(p_handler_stopped, true) OR p_on_orphan = 'retry') THEN 'waiting_for_retry'
        ELSE 'error' END
$$;

-- Parameters come in parallel arrays, one prefix per kind:
--   m_* messages to record, in order of arrival; class: final | duplicate | noted | unknown |
--      stale_attempt
--   h_* steps handed back unstarted      r_* steps reported running      b_* batches whose state moves
--   k_* handler keys that may be claimed, per profile (sessions that serve the same keys); scan: waiting steps too
--   s_* free slots per profile, in the order in which they are to be filled; session_no indexes c_sessions
-- Rows returned: kind 'report' (ord, info = disposition, name = new step state) · 'claim' (one per claimed step) ·
-- 'task' (task_id, info = state) · 'more' (handler_key: ready steps may still wait).
CREATE FUNCTION tasker_turn(
    p_lane smallint, p_epoch bigint, p_turn bigint,
    m_class text[], m_batch_id bigint[], m_batch_step_id bigint[], m_step_id bigint[], m_task_id bigint[],
    m_attempt int[], m_type text[], m_status text[], m_worker text[], m_session text[], m_sequence bigint[],
    m_exec_ms bigint[], m_raw text[], m_output text[], m_error text[], m_retryable boolean[],
    m_handler_stopped boolean[], m_backoff double precision[],
    h_batch_step_id bigint[], h_step_id bigint[], h_task_id bigint[], h_attempt int[], h_reason text[],
    r_batch_step_id bigint[], r_age_ms bigint[],
    b_batch_id bigint[], b_from text[], b_to text[], b_steps int[], b_partials int[], b_completion boolean[],
    b_reconciliation text[], b_detail text[],
    k_profile int[], k_key int[], k_scan boolean[], s_profile int[], s_session_no int[], c_sessions text[],
    p_batch_size int, p_due boolean, p_instance text)
RETURNS TABLE (kind text, ord int, info text, name text, task_id bigint, step_id bigint, attempt int,
    retry_limit int, timeout_ms bigint, handler_key int, claim_first boolean, batch_id bigint, batch_uuid text,
    batch_step_id bigint, sequence_order int, session_no int, named_task_id int, template_revision int,
    claimed_at text, context text, previous_results text)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    v_now timestamptz := clock_timestamp();
    v_final tasker_turn_final[] := '{}';
    v_child tasker_turn_child[] := '{}';
    v_claim tasker_turn_claim[] := '{}';
    v_round tasker_turn_claim[];
    v_task tasker_turn_task[];
    v_ids bigint[]; v_keys int[]; v_more int[] := '{}'; v_slots int[]; v_batches bigint[]; v_uuids text[];
    v_count int; v_expected int; v_profile int; v_scan_all boolean := p_due OR cardinality(h_step_id) > 0;
BEGIN
    -- The epoch guard: a predecessor that was frozen or cut off can commit nothing.
    UPDATE tasker_orchestrators o SET turn = p_turn, last_seen_at = v_now WHERE o.lane = p_lane AND o.epoch = p_epoch;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'epoch % of lane % is over: another orchestrator has taken over', p_epoch, p_lane
            USING ERRCODE = 'TK001';
    END IF;

    IF cardinality(m_task_id) > 0 OR cardinality(h_task_id) > 0 THEN
        v_ids := ARRAY(SELECT DISTINCT x FROM unnest(m_task_id || h_task_id) x WHERE x IS NOT NULL ORDER BY x);
        PERFORM 1 FROM tasker_tasks t WHERE t.task_id = ANY (v_ids) ORDER BY t.task_id FOR UPDATE;
    END IF;

    -- Reports: what does each first final report do? Reads after the lock, so it sees what the lock waited for.
    IF cardinality(m_class) > 0 THEN
        SELECT coalesce(array_agg(ROW(x.ord, x.bs_id, x.step_id, x.task_id, x.attempt, x.status, x.output, x.error,
                x.backoff, x.disposition, x.state,
                CASE WHEN x.disposition = 'applied' THEN x.verdict END, x.transition_count + 1)::tasker_turn_final
                ORDER BY x.ord), '{}')
            INTO v_final
        FROM (SELECT r.*, s.state, s.transition_count,
                CASE WHEN bs.reported_at IS NOT NULL
                          OR row_number() OVER (PARTITION BY r.bs_id ORDER BY r.ord) > 1 THEN 'duplicate'
                     WHEN s.attempts <> r.attempt THEN 'stale_attempt'
                     WHEN s.state = 'in_progress' OR (s.state = 'waiting_for_retry' AND r.status = 'completed')
                         THEN 'applied'
                     ELSE 'late' END AS disposition,
                tasker_step_verdict(r.status, r.retryable, r.handler_stopped, s.retryable, s.on_orphan,
                    s.attempts - s.unstarted_attempts, s.retry_limit) AS verdict
            FROM unnest(m_class, m_batch_step_id, m_step_id, m_task_id, m_attempt, m_status, m_output, m_error,
                    m_retryable, m_handler_stopped, m_backoff)
                WITH ORDINALITY AS r(class, bs_id, step_id, task_id, attempt, status, output, error, retryable,
                    handler_stopped, backoff, ord)
            JOIN tasker_workflow_steps s ON s.workflow_step_id = r.step_id
            JOIN tasker_step_execution_batch_steps bs ON bs.id = r.bs_id
            WHERE r.class = 'final') x;

        IF cardinality(v_final) > 0 THEN
            UPDATE tasker_workflow_steps s SET
                state = f.new_state,
                transition_count = f.sort_key,
                ready_key = NULL,
                processed_at = CASE WHEN f.new_state <> 'waiting_for_retry' THEN v_now END,
                results = CASE WHEN f.new_state = 'complete' THEN f.output::jsonb END,
                error = CASE WHEN f.new_state <> 'complete' THEN f.error::jsonb END,
                backoff_request_seconds = CASE WHEN f.new_state = 'waiting_for_retry' THEN f.backoff END,
                next_attempt_at = CASE WHEN f.new_state = 'waiting_for_retry'
                                       THEN v_now + make_interval(secs => coalesce(f.backoff, 0)) END
            FROM unnest(v_final) f
            WHERE f.disposition = 'applied' AND s.workflow_step_id = f.step_id AND s.attempts = f.attempt
              AND s.state = f.old_state;
            GET DIAGNOSTICS v_count = ROW_COUNT;
            SELECT count(*) INTO v_expected FROM unnest(v_final) f WHERE f.disposition = 'applied';
            IF v_count <> v_expected THEN
                RAISE EXCEPTION 'turn applied % of % reports', v_count, v_expected USING ERRCODE = '40001';
            END IF;

            -- A step that was handed back has left its batch's expectation; a late report does not bring it back.
            UPDATE tasker_step_execution_batch_steps bs SET reported_at = v_now, updated_at = v_now,
                final_status = CASE WHEN bs.final_status = 'handed_back' THEN bs.final_status ELSE f.status END
            FROM unnest(v_final) f WHERE bs.id = f.batch_step_id AND f.disposition <> 'duplicate';

            SELECT coalesce(array_agg(ROW(s.workflow_step_id, s.task_id, c.k,
                    s.state = 'pending' AND s.remaining_parents = c.k, s.handler_key, s.priority, s.namespace_id,
                    s.attempts, s.transition_count)::tasker_turn_child), '{}')
                INTO v_child
            FROM (SELECT e.to_step_id, count(*)::int AS k FROM unnest(v_final) f
                  JOIN tasker_workflow_step_edges e ON e.from_step_id = f.step_id
                  WHERE f.new_state = 'complete' GROUP BY e.to_step_id) c
            JOIN tasker_workflow_steps s ON s.workflow_step_id = c.to_step_id;
        END IF;

        INSERT INTO tasker_step_execution_batch_received_results (batch_id, batch_step_id, message_type, worker_id,
                session, sequence_number, status, execution_time_ms, disposition, raw_message_json, processed_at)
            SELECT r.batch_id, r.bs_id, r.type, r.worker, r.session, r.sequence, r.status, r.exec_ms,
                   CASE WHEN r.class = 'final' THEN coalesce(f.disposition, 'unknown') ELSE r.class END,
                   r.raw::json, v_now
            FROM unnest(m_class, m_batch_id, m_batch_step_id, m_type, m_worker, m_session, m_sequence, m_status,
                    m_exec_ms, m_raw)
                WITH ORDINALITY AS r(class, batch_id, bs_id, type, worker, session, sequence, status, exec_ms, raw, ord)
            LEFT JOIN unnest(v_final) f ON f.ord = r.ord
            ORDER BY r.ord;
    END IF;

    -- Hand-backs: proven unstarted, so the attempt does not count and the step is ready again at once. A request
    -- that is too large to be sent ends its step instead.
    IF cardinality(h_step_id) > 0 THEN
        WITH moved AS (
            UPDATE tasker_workflow_steps s SET
                state = CASE WHEN h.reason = 'request_too_large' THEN 'error' ELSE 'pending' END,
                ready_key = CASE WHEN h.reason = 'request_too_large' THEN NULL ELSE s.handler_key END,
                unstarted_attempts = s.unstarted_attempts + 1,
                transition_count = s.transition_count + CASE WHEN h.reason = 'request_too_large' THEN 2 ELSE 1 END,
                processed_at = CASE WHEN h.reason = 'request_too_large' THEN v_now END,
                error = CASE WHEN h.reason = 'request_too_large' THEN jsonb_build_object('message',
                    'the request of this step is larger than limits.batch_bytes', 'error_code', h.reason) END
            FROM unnest(h_batch_step_id, h_step_id, h_attempt, h_reason) AS h(bs_id, step_id, attempt, reason)
            WHERE s.workflow_step_id = h.step_id AND s.state = 'in_progress' AND s.attempts = h.attempt
              AND EXISTS (SELECT 1 FROM tasker_step_execution_batch_steps bs WHERE bs.id = h.bs_id
                          AND bs.reported_at IS NULL AND bs.final_status IS NULL)
            RETURNING s.workflow_step_id, s.task_id, s.transition_count, h.bs_id, h.reason
        ), history AS (
            INSERT INTO tasker_workflow_step_transitions
                (workflow_step_id, task_id, sort_key, from_state, to_state, event, metadata)
            SELECT m.workflow_step_id, m.task_id,
                   m.transition_count - CASE WHEN m.reason = 'request_too_large' THEN 1 ELSE 0 END,
                   'in_progress', 'pending', 'hand_back', jsonb_build_object('reason', m.reason) FROM moved m
            UNION ALL
            SELECT m.workflow_step_id, m.task_id, m.transition_count, 'pending', 'error', 'request_too_large', NULL
            FROM moved m WHERE m.reason = 'request_too_large'
        )
        UPDATE tasker_step_execution_batch_steps bs SET final_status = 'handed_back', updated_at = v_now,
            metadata = jsonb_build_object('reason', m.reason)
        FROM moved m WHERE bs.id = m.bs_id;
    END IF;

    IF cardinality(r_batch_step_id) > 0 THEN
        UPDATE tasker_step_execution_batch_steps bs
            SET started_at = v_now - make_interval(secs => r.age_ms / 1000.0), updated_at = v_now
        FROM unnest(r_batch_step_id, r_age_ms) AS r(bs_id, age_ms)
        WHERE bs.id = r.bs_id AND bs.started_at IS NULL;
    END IF;

    -- Retries that have become due (and tasks whose not_before has passed) join the ready index.
    IF p_due THEN
        WITH due AS (
            SELECT s.workflow_step_id FROM tasker_workflow_steps s
            WHERE s.next_attempt_at <= v_now AND s.ready_key IS NULL AND s.remaining_parents = 0
              AND s.state IN ('pending', 'waiting_for_retry')
            ORDER BY s.next_attempt_at LIMIT 1000 FOR UPDATE SKIP LOCKED)
        UPDATE tasker_workflow_steps s SET ready_key = s.handler_key FROM due
        WHERE s.workflow_step_id = due.workflow_step_id;
    END IF;

    -- Claims. Profile by profile: rank what is ready (priority, then namespaces in turn, then age) and put it on
    -- the slots in the order the listener gave them.
    FOR v_profile IN SELECT DISTINCT p FROM unnest(s_profile) p ORDER BY p LOOP
        v_slots := ARRAY(SELECT s.session_no FROM unnest(s_profile, s_session_no) WITH ORDINALITY
                         AS s(profile, session_no, ord) WHERE s.profile = v_profile ORDER BY s.ord);
        v_keys := ARRAY(SELECT k.key FROM unnest(k_profile, k_key, k_scan) AS k(profile, key, scan)
                        WHERE k.profile = v_profile AND (k.scan OR v_scan_all));
        v_ids := ARRAY(SELECT c.step_id FROM unnest(v_claim) c);
        WITH candidates AS (
            SELECT c.step_id, c.task_id, c.handler_key, c.priority, c.namespace_id, 'pending' AS state, c.attempts,
                   c.transition_count
            FROM unnest(v_child) c
            WHERE c.becomes_ready AND NOT (c.step_id = ANY (v_ids))
              AND c.handler_key IN (SELECT k.key FROM unnest(k_profile, k_key) AS k(profile, key)
                                    WHERE k.profile = v_profile)
            UNION ALL
            SELECT w.* FROM unnest(v_keys) k(key) CROSS JOIN LATERAL (
                SELECT s.workflow_step_id, s.task_id, s.handler_key, s.priority, s.namespace_id, s.state, s.attempts,
                       s.transition_count
                FROM tasker_workflow_steps s
                WHERE s.ready_key = k.key AND NOT (s.workflow_step_id = ANY (v_ids))
                ORDER BY s.priority DESC, s.workflow_step_id
                LIMIT cardinality(v_slots) FOR UPDATE SKIP LOCKED) w
        ), ranked AS (
            -- Whose turn it is differs from turn to turn: with one slot per turn the oldest step would otherwise
            -- always belong to the namespace that floods.
            SELECT c.*, row_number() OVER (ORDER BY c.priority DESC, c.in_turn,
                                           hashint8extended(c.namespace_id, p_turn), c.step_id) AS place
            FROM (SELECT c.*, row_number() OVER (PARTITION BY c.priority, c.namespace_id ORDER BY c.step_id) AS in_turn
                  FROM candidates c) c
        )
        SELECT array_agg(ROW(r.step_id, r.task_id, r.handler_key, v_slots[r.place], r.state, r.attempts + 1,
                r.transition_count + 1, r.place, NULL, NULL, NULL)::tasker_turn_claim)
                FILTER (WHERE r.place <= cardinality(v_slots)),
            v_more || coalesce(array_agg(DISTINCT r.handler_key) FILTER (WHERE r.place >= cardinality(v_slots)), '{}')
        INTO v_round, v_more FROM ranked r;
        v_claim := v_claim || coalesce(v_round, '{}');
    END LOOP;

    IF cardinality(v_claim) > 0 THEN
        -- A task's first claim moves it to in_progress, so its row is needed: where somebody holds it, skip.
        v_ids := ARRAY(SELECT DISTINCT c.task_id FROM unnest(v_claim) c ORDER BY c.task_id);
        WITH waiting AS MATERIALIZED (
            SELECT t.task_id FROM tasker_tasks t WHERE t.task_id = ANY (v_ids) AND t.state = 'pending'),
        locked AS MATERIALIZED (
            SELECT t.task_id FROM tasker_tasks t WHERE t.task_id = ANY (ARRAY(SELECT w.task_id FROM waiting w))
            ORDER BY t.task_id FOR UPDATE SKIP LOCKED)
        SELECT coalesce(array_agg(ROW(c.step_id, c.task_id, c.handler_key, c.session_no, c.old_state, c.attempt,
                c.sort_key, c.ranking, c.batch_no, c.place_in_batch,
                nextval('tasker_step_execution_batch_steps_id_seq'))::tasker_turn_claim
                ORDER BY c.batch_no, c.place_in_batch), '{}')
            INTO v_claim
        FROM (SELECT g.*, dense_rank() OVER (ORDER BY g.session_no, g.handler_key, g.chunk)::int AS batch_no,
                  row_number() OVER (PARTITION BY g.session_no, g.handler_key, g.chunk ORDER BY g.ranking)::int
                      AS place_in_batch
              FROM (SELECT c.step_id, c.task_id, c.handler_key, c.session_no, c.old_state, c.attempt, c.sort_key,
                        c.ranking, (row_number() OVER (PARTITION BY c.session_no, c.handler_key ORDER BY c.ranking)
                                    - 1) / p_batch_size AS chunk
                    FROM unnest(v_claim) c
                    WHERE NOT EXISTS (SELECT 1 FROM waiting w WHERE w.task_id = c.task_id
                                      AND NOT EXISTS (SELECT 1 FROM locked l WHERE l.task_id = w.task_id))) g) c;
    END IF;

    -- Children lose their parents and claimed steps start, in one update: what is claimed at once never enters
    -- the ready index.
    IF cardinality(v_child) > 0 OR cardinality(v_claim) > 0 THEN
        UPDATE tasker_workflow_steps s SET
            remaining_parents = s.remaining_parents - x.k,
            ready_key = CASE WHEN x.claimed THEN NULL WHEN x.becomes_ready THEN s.handler_key ELSE s.ready_key END,
            state = CASE WHEN x.claimed THEN 'in_progress' ELSE s.state END,
            attempts = s.attempts + CASE WHEN x.claimed THEN 1 ELSE 0 END,
            transition_count = s.transition_count + CASE WHEN x.claimed THEN 1 ELSE 0 END,
            last_attempted_at = CASE WHEN x.claimed THEN v_now ELSE s.last_attempted_at END,
            next_attempt_at = CASE WHEN x.claimed THEN NULL ELSE s.next_attempt_at END
        FROM (SELECT coalesce(ch.step_id, cl.step_id) AS step_id, coalesce(ch.k, 0) AS k,
                     coalesce(ch.becomes_ready, false) AS becomes_ready, cl.step_id IS NOT NULL AS claimed,
                     cl.old_state
              FROM unnest(v_child) ch FULL JOIN unnest(v_claim) cl ON cl.step_id = ch.step_id) x
        WHERE s.workflow_step_id = x.step_id AND (NOT x.claimed OR s.state = x.old_state);
        GET DIAGNOSTICS v_count = ROW_COUNT;
        SELECT count(*) INTO v_expected FROM unnest(v_child) ch FULL JOIN unnest(v_claim) cl ON cl.step_id = ch.step_id;
        IF v_count <> v_expected THEN
            RAISE EXCEPTION 'turn moved % of % steps', v_count, v_expected USING ERRCODE = '40001';
        END IF;
        v_more := v_more || ARRAY(SELECT DISTINCT ch.handler_key FROM unnest(v_child) ch WHERE ch.becomes_ready
            AND NOT EXISTS (SELECT 1 FROM unnest(v_claim) cl WHERE cl.step_id = ch.step_id));
    END IF;

    IF cardinality(v_final) > 0 OR cardinality(v_claim) > 0 THEN
        INSERT INTO tasker_workflow_step_transitions
                (workflow_step_id, task_id, sort_key, from_state, to_state, event, metadata, created_at)
            SELECT f.step_id, f.task_id, f.sort_key, f.old_state, f.new_state,
                   CASE f.new_state WHEN 'complete' THEN 'complete' WHEN 'error' THEN 'fail' ELSE 'await_retry' END,
                   NULL::jsonb, v_now
            FROM unnest(v_final) f WHERE f.disposition = 'applied'
            UNION ALL
            SELECT c.step_id, c.task_id, c.sort_key, c.old_state, 'in_progress', 'claim', NULL, v_now
            FROM unnest(v_claim) c;
    END IF;

    -- Task counters and verdicts, in the same transaction as the last result.
    IF cardinality(v_final) > 0 OR cardinality(v_claim) > 0 OR cardinality(h_step_id) > 0 THEN
        SELECT array_agg(ROW(t.task_id, t.state,
                CASE WHEN t.state NOT IN ('pending', 'in_progress') THEN t.state
                     WHEN t.open_steps - d.completed = 0 THEN 'complete'
                     WHEN t.movable_steps + d.movable = 0 THEN
                         CASE WHEN EXISTS (SELECT 1 FROM tasker_workflow_steps s WHERE s.task_id = t.task_id
                                           AND s.state = 'error') THEN 'error' ELSE 'cancelled' END
                     WHEN t.state = 'pending' AND d.claimed THEN 'in_progress'
                     ELSE t.state END,
                t.open_steps - d.completed, t.movable_steps + d.movable, t.transition_count + 1)::tasker_turn_task)
            INTO v_task
        FROM (SELECT x.task_id, sum(x.completed)::int AS completed, sum(x.movable)::int AS movable,
                     bool_or(x.claimed) AS claimed
              FROM (SELECT f.task_id, (f.new_state = 'complete')::int AS completed,
                           -(f.new_state IN ('complete', 'error'))::int AS movable, false AS claimed
                    FROM unnest(v_final) f WHERE f.disposition = 'applied'
                    UNION ALL
                    SELECT ch.task_id, 0, ch.becomes_ready::int, false FROM unnest(v_child) ch
                    UNION ALL
                    SELECT h.task_id, 0, -1, false
                    FROM unnest(h_batch_step_id, h_task_id, h_reason) AS h(bs_id, task_id, reason)
                    JOIN tasker_step_execution_batch_steps bs ON bs.id = h.bs_id
                    WHERE h.reason = 'request_too_large' AND bs.final_status = 'handed_back' AND bs.updated_at = v_now
                    UNION ALL
                    SELECT c.task_id, 0, 0, true FROM unnest(v_claim) c WHERE c.old_state = 'pending' AND c.attempt = 1) x
              GROUP BY x.task_id) d
        JOIN tasker_tasks t ON t.task_id = d.task_id
        WHERE d.completed <> 0 OR d.movable <> 0 OR (d.claimed AND t.state = 'pending');
        IF cardinality(v_task) > 0 THEN
            UPDATE tasker_tasks t SET
                state = x.new_state, open_steps = x.open_steps, movable_steps = x.movable_steps,
                transition_count = t.transition_count + CASE WHEN x.new_state <> x.old_state THEN 1 ELSE 0 END,
                updated_at = v_now,
                completed_at = CASE WHEN x.new_state NOT IN ('pending', 'in_progress')
                                    THEN coalesce(t.completed_at, v_now) END
            FROM unnest(v_task) x WHERE t.task_id = x.task_id;
            INSERT INTO tasker_task_transitions (task_id, sort_key, from_state, to_state, event, created_at)
                SELECT x.task_id, x.sort_key, x.old_state, x.new_state,
                       CASE x.new_state WHEN 'in_progress' THEN 'start' WHEN 'complete' THEN 'complete'
                                        WHEN 'error' THEN 'fail' ELSE 'cancel' END, v_now
                FROM unnest(v_task) x WHERE x.new_state <> x.old_state;
        END IF;
    END IF;

    -- New batches with their join rows and their first two transitions.
    IF cardinality(v_claim) > 0 THEN
        v_batches := ARRAY(SELECT nextval('tasker_step_execution_batches_batch_id_seq')
                           FROM generate_series(1, (SELECT max(c.batch_no) FROM unnest(v_claim) c)));
        -- Time-ordered uuids (version 7 layout: 48 bits of milliseconds, epoch, then the batch's own id).
        v_uuids := ARRAY(SELECT substr(h.ms, 1, 8) || '-' || substr(h.ms, 9, 4) || '-7'
                                || lpad(to_hex(p_epoch % 4096), 3, '0') || '-8' || substr(h.id, 1, 3) || '-' || substr(h.id, 4, 12)
                         FROM unnest(v_batches) WITH ORDINALITY b(id, ord),
                         LATERAL (SELECT lpad(to_hex((extract(epoch FROM v_now) * 1000)::bigint), 12, '0') AS ms,
                                         lpad(to_hex(b.id), 15, '0') AS id) h ORDER BY b.ord);
        INSERT INTO tasker_step_execution_batches (batch_id, task_id, handler_class, handler_key, batch_uuid,
                initiated_by, batch_size, timeout_seconds, state, session, epoch, turn, transition_count,
                created_at, updated_at)
            SELECT v_batches[c.batch_no], CASE WHEN min(c.task_id) = max(c.task_id) THEN min(c.task_id) END,
                   min(k.handler_class), min(c.handler_key), v_uuids[c.batch_no], p_instance, count(*)::int,
                   greatest(1, (max(s.timeout_ms) / 1000)::int), 'published',
                   nullif(c_sessions[min(c.session_no)], ''), p_epoch, p_turn, 2, v_now, v_now
            FROM unnest(v_claim) c
            JOIN tasker_handler_keys k ON k.handler_key = c.handler_key
            JOIN tasker_workflow_steps s ON s.workflow_step_id = c.step_id
            GROUP BY c.batch_no;
        INSERT INTO tasker_step_execution_batch_steps (id, batch_id, workflow_step_id, sequence_order, attempt,
                expected_handler_class)
            SELECT c.batch_step_id, v_batches[c.batch_no], c.step_id, c.sequence_order, c.attempt, k.handler_class
            FROM unnest(v_claim) c JOIN tasker_handler_keys k ON k.handler_key = c.handler_key;
        INSERT INTO tasker_step_execution_batch_transitions
                (batch_id, from_state, to_state, event_name, sort_key, most_recent, created_at)
            SELECT b.id, x.from_state, x.to_state, x.event, x.sort_key, x.most_recent, v_now
            FROM unnest(v_batches) b(id)
            CROSS JOIN (VALUES (NULL, 'created', 'claim', 1, false), ('created', 'published', 'publish', 2, true))
                AS x(from_state, to_state, event, sort_key, most_recent);
    END IF;

    -- Batches that moved: counters, state, verdict. b_steps counts the transitions (0, 1, or 2 when the batch
    -- passes through executing within this turn). Flags are cleared before new rows come.
    IF cardinality(b_batch_id) > 0 THEN
        UPDATE tasker_step_execution_batches b SET
            state = x.to_state, transition_count = b.transition_count + x.steps,
            partial_results_received = b.partial_results_received + x.partials,
            final_completion_received = b.final_completion_received OR x.completion,
            reconciliation_status = coalesce(x.reconciliation, b.reconciliation_status),
            metadata = CASE WHEN x.detail IS NULL THEN b.metadata ELSE b.metadata || x.detail::jsonb END,
            updated_at = v_now
        FROM unnest(b_batch_id, b_from, b_to, b_steps, b_partials, b_completion, b_reconciliation, b_detail)
            AS x(id, from_state, to_state, steps, partials, completion, reconciliation, detail)
        WHERE b.batch_id = x.id AND b.state = x.from_state;
        GET DIAGNOSTICS v_count = ROW_COUNT;
        IF v_count <> cardinality(b_batch_id) THEN
            RAISE EXCEPTION 'turn moved % of % batches', v_count, cardinality(b_batch_id) USING ERRCODE = '40001';
        END IF;
        UPDATE tasker_step_execution_batch_transitions t SET most_recent = false, updated_at = v_now
        FROM unnest(b_batch_id, b_steps) AS x(id, steps) WHERE x.steps > 0 AND t.batch_id = x.id AND t.most_recent;
        INSERT INTO tasker_step_execution_batch_transitions
                (batch_id, from_state, to_state, event_name, sort_key, most_recent, created_at)
            SELECT x.id, CASE WHEN x.steps = 2 THEN 'executing' ELSE x.from_state END, x.to_state,
                   CASE x.to_state WHEN 'executing' THEN 'start' WHEN 'timed_out' THEN 'time_out'
                        WHEN 'cancelled' THEN 'cancel' ELSE 'finish' END,
                   b.transition_count, true, v_now
            FROM unnest(b_batch_id, b_from, b_to, b_steps) AS x(id, from_state, to_state, steps)
            JOIN tasker_step_execution_batches b ON b.batch_id = x.id WHERE x.steps > 0
            UNION ALL
            SELECT x.id, x.from_state, 'executing', 'start', b.transition_count - 1, false, v_now
            FROM unnest(b_batch_id, b_from, b_steps) AS x(id, from_state, steps)
            JOIN tasker_step_execution_batches b ON b.batch_id = x.id WHERE x.steps = 2;
    END IF;

    RETURN QUERY
        SELECT 'report'::text, f.ord, f.disposition, f.new_state, f.task_id, f.step_id, f.attempt, NULL::int, NULL::bigint,
               NULL::int, NULL::boolean, NULL::bigint, NULL::text, NULL::bigint, NULL::int, NULL::int, NULL::int,
               NULL::int, NULL::text, NULL::text, NULL::text
        FROM unnest(v_final) f
        UNION ALL
        SELECT 'task', NULL, x.new_state, NULL, x.task_id, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
               NULL, NULL, NULL, NULL, NULL, NULL
        FROM unnest(v_task) x WHERE x.new_state <> x.old_state
        UNION ALL
        SELECT DISTINCT 'more', NULL::int, NULL, NULL, NULL::bigint, NULL::bigint, NULL::int, NULL::int, NULL::bigint, k.key,
               NULL::boolean, NULL::bigint, NULL, NULL::bigint, NULL::int, NULL::int, NULL::int, NULL::int, NULL, NULL,
               NULL
        FROM unnest(v_more) k(key);
    IF cardinality(v_claim) > 0 THEN
        RETURN QUERY
            SELECT 'claim'::text, NULL::int, c.old_state, s.name::text, c.task_id, c.step_id, c.attempt, s.retry_limit,
                   s.timeout_ms, c.handler_key, s.claim_first, v_batches[c.batch_no], v_uuids[c.batch_no],
                   c.batch_step_id, c.sequence_order, c.session_no, t.named_task_id, t.template_revision,
                   to_char(v_now AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'), t.context::text,
                   (SELECT json_object_agg(p.name, p.results) FROM tasker_workflow_step_edges e
                    JOIN tasker_workflow_steps p ON p.workflow_step_id = e.from_step_id
                    WHERE e.to_step_id = c.step_id)::text
            FROM unnest(v_claim) c
            JOIN tasker_workflow_steps s ON s.workflow_step_id = c.step_id
            JOIN tasker_tasks t ON t.task_id = c.task_id
            ORDER BY c.batch_no, c.sequence_order;
    END IF;
END $$;
