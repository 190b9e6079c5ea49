-- What it takes to end deliveries whose worker is gone, to grant starts, and to say why a step waits.

-- What a session may be given, and what of it is free: refreshed each second by the orchestrator. An operator's
-- `worker drain` leaves its request here; the orchestrator carries it out.
ALTER TABLE tasker_workers
    ADD COLUMN credit_limit int NOT NULL DEFAULT 0,
    ADD COLUMN free_credit int NOT NULL DEFAULT 0,
    ADD COLUMN drain_requested_at timestamptz,
    ADD COLUMN drain_deadline_ms bigint;

ALTER TABLE tasker_dead_letters
    ADD CONSTRAINT tasker_dead_letters_resolution CHECK
        ((resolved_at IS NULL) = (resolution IS NULL)
         AND resolution IN ('replayed', 'resolved', 'discarded', 'cancelled'));
CREATE INDEX tasker_dead_letters_open ON tasker_dead_letters (dead_letter_id) WHERE resolved_at IS NULL;

-- What a turn knows of a final report, of a step that left in_progress without one, and of a start that was asked for.
CREATE TYPE tasker_turn_report AS (ord int, batch_step_id bigint, step_id bigint, task_id bigint, attempt int,
    status text, output text, error text, backoff double precision, disposition text, old_state text,
    new_state text, sort_key int, unusable boolean, dead_letter text, worker text);
CREATE TYPE tasker_turn_move AS (ord int, step_id bigint, task_id bigint, attempt int, new_state text, handler_key int,
    reason text, error jsonb, batch_id bigint);
CREATE TYPE tasker_turn_grant AS (ord int, refusal text);

-- Why a delivery became an orphan, in words for people.
CREATE FUNCTION tasker_orphan_message(p_reason text) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE p_reason
        WHEN 'session_lost' THEN 'the worker is gone: whether the step had run is not known'
        WHEN 'timed_out' THEN 'the step ran longer than its time-out and its worker did not report'
        WHEN 'not_accepted' THEN 'the worker did not accept the step, although it was sent several times'
        WHEN 'held_unstarted' THEN 'the worker held the step without starting it, and did not give it back'
        WHEN 'absent' THEN 'the worker had accepted the step and does not know it any more'
        ELSE 'the delivery ended without a report: ' || p_reason END
$$;

-- One turn of the listener, as before (006; that one stays for an orchestrator of the version before), and now also
-- with orphans, dead letters and granted starts.
-- Parameters come in parallel arrays, one prefix per kind:
--   m_* messages to record, in order of arrival; class: final | duplicate | noted | unknown |
--      stale_attempt
--      m_unusable: the worker's word stands in `status`, but its output cannot be kept: the attempt ends in error
--   h_* steps handed back unstarted      r_* steps reported running      b_* batches whose state moves
--   o_* deliveries that are orphans: their worker is gone or their time is up
--   g_* deliveries whose worker asks to start (claim_first)
--   k_* handler keys that may be claimed, per profile (sessions that serve the same keys); scan: waiting steps too
--   s_* free slots per profile, in the order in which they are to be filled; session_no indexes c_sessions
-- Rows returned: kind 'report' (ord, info = disposition, name = new step state) · 'claim' (one per claimed step) ·
-- 'task' (task_id, info = state) · 'more' (handler_key: ready steps may still wait; info `locked`: somebody holds them) ·
-- 'orphan' (ord, info = new step state, none when the step had moved on) · 'grant' (ord, info = none, or why not).
CREATE FUNCTION tasker_turn(
    p_lane smallint, p_epoch bigint, p_turn bigint,
    m_class text[], m_batch_id bigint[], m_batch_step_id bigint[], m_step_id bigint[], m_task_id bigint[],
    m_attempt int[], m_type text[], m_status text[], m_worker text[], m_session text[], m_sequence bigint[],
    m_exec_ms bigint[], m_raw text[], m_output text[], m_error text[], m_retryable boolean[],
    m_handler_stopped boolean[], m_backoff double precision[], m_unusable boolean[],
    h_batch_step_id bigint[], h_step_id bigint[], h_task_id bigint[], h_attempt int[], h_reason text[],
    o_batch_step_id bigint[], o_step_id bigint[], o_task_id bigint[], o_attempt int[], o_reason text[],
    g_batch_step_id bigint[], g_step_id bigint[], g_task_id bigint[], g_attempt int[],
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
    v_final tasker_turn_report[] := '{}';
    v_moved tasker_turn_move[] := '{}';
    v_grant tasker_turn_grant[] := '{}';
    v_child tasker_turn_child[] := '{}';
    v_claim tasker_turn_claim[] := '{}';
    v_round tasker_turn_claim[];
    v_task tasker_turn_task[];
    v_ids bigint[]; v_keys int[]; v_more int[] := '{}'; v_slots int[]; v_batches bigint[]; v_uuids text[];
    v_count int; v_expected int; v_profile int; v_scan_all boolean := p_due OR cardinality(h_step_id) > 0 OR cardinality(o_step_id) > 0;
    v_locked int[] := '{}';
BEGIN
    -- The epoch guard: a predecessor that was frozen or cut off can commit nothing.
    UPDATE tasker_orchestrators o SET turn = p_turn, last_seen_at = v_now WHERE o.lane = p_lane AND o.epoch = p_epoch;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'epoch % of lane % is over: another orchestrator has taken over', p_epoch, p_lane
            USING ERRCODE = 'TK001';
    END IF;

    IF cardinality(m_task_id) > 0 OR cardinality(h_task_id) > 0 OR cardinality(o_task_id) > 0
            OR cardinality(g_task_id) > 0 THEN
        v_ids := ARRAY(SELECT DISTINCT x FROM unnest(m_task_id || h_task_id || o_task_id || g_task_id) x
                       WHERE x IS NOT NULL ORDER BY x);
        PERFORM 1 FROM tasker_tasks t WHERE t.task_id = ANY (v_ids) ORDER BY t.task_id FOR UPDATE;
    END IF;

    -- Reports: what does each first final report do? Reads after the lock, so it sees what the lock waited for.
    IF cardinality(m_class) > 0 THEN
        SELECT coalesce(array_agg(ROW(x.ord, x.bs_id, x.step_id, x.task_id, x.attempt, x.status, x.output, x.error,
                x.backoff, x.disposition, x.state,
                CASE WHEN x.disposition = 'applied' THEN x.verdict END, x.transition_count + 1, x.unusable,
                CASE WHEN x.disposition = 'applied' AND x.verdict = 'error' AND x.verdict_status = 'failed' THEN
                    CASE WHEN NOT coalesce(x.handler_stopped, true) THEN 'handler_still_running'
                         WHEN coalesce(x.report_retryable, true) AND x.step_retryable THEN 'retries_exhausted' END END,
                x.worker)::tasker_turn_report
                ORDER BY x.ord), '{}')
            INTO v_final
        FROM (SELECT r.ord, r.bs_id, r.step_id, r.task_id, r.attempt, r.status, r.output, r.error, r.backoff, r.unusable,
                r.worker, r.handler_stopped, r.retryable AS report_retryable, s.retryable AS step_retryable,
                CASE WHEN r.unusable THEN 'error' ELSE r.status END AS verdict_status, s.state, s.transition_count,
                CASE WHEN bs.reported_at IS NOT NULL
                          OR row_number() OVER (PARTITION BY r.bs_id ORDER BY r.ord) > 1 THEN 'duplicate'
                     WHEN s.attempts <> r.attempt THEN 'stale_attempt'
                     WHEN s.state = 'in_progress' OR (s.state = 'waiting_for_retry' AND r.status = 'completed' AND NOT r.unusable)
                         THEN 'applied'
                     ELSE 'late' END AS disposition,
                tasker_step_verdict(CASE WHEN r.unusable THEN 'error' ELSE r.status END, r.retryable, r.handler_stopped, s.retryable, s.on_orphan,
                    s.attempts - s.unstarted_attempts, s.retry_limit) AS verdict
            FROM unnest(m_class, m_batch_step_id, m_step_id, m_task_id, m_attempt, m_status, m_output, m_error,
                    m_retryable, m_handler_stopped, m_backoff, m_unusable, m_worker)
                WITH ORDINALITY AS r(class, bs_id, step_id, task_id, attempt, status, output, error, retryable,
                    handler_stopped, backoff, unusable, worker, ord)
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

            -- What was handed back has left its batch's expectation, and an orphan stays one: a late report
            -- does not bring them back.
            UPDATE tasker_step_execution_batch_steps bs SET reported_at = v_now, updated_at = v_now,
                final_status = coalesce(bs.final_status, f.status)
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
                session, sequence_number, status, execution_time_ms, disposition, raw_message_json, processed_at,
                processing_errors)
            SELECT r.batch_id, r.bs_id, r.type, left(r.worker, 255), r.session, r.sequence, r.status, r.exec_ms,
                   CASE WHEN r.class = 'final' THEN coalesce(f.disposition, 'unknown') ELSE r.class END,
                   r.raw::json, v_now, CASE WHEN r.unusable THEN r.error::jsonb END
            FROM unnest(m_class, m_batch_id, m_batch_step_id, m_type, m_worker, m_session, m_sequence, m_status,
                    m_exec_ms, m_raw, m_unusable, m_error)
                WITH ORDINALITY AS r(class, batch_id, bs_id, type, worker, session, sequence, status, exec_ms, raw,
                    unusable, error, ord)
            LEFT JOIN unnest(v_final) f ON f.ord = r.ord
            ORDER BY r.ord;
    END IF;

    -- Hand-backs: proven unstarted, so the attempt does not count and the step is ready again at once. A request
    -- that is too large to be sent ends its step instead. Where the step has moved on (cancelled), only its
    -- delivery ends.
    IF cardinality(h_step_id) > 0 THEN
        WITH ended AS (
            UPDATE tasker_step_execution_batch_steps bs SET final_status = 'handed_back', updated_at = v_now,
                metadata = jsonb_build_object('reason', h.reason)
            FROM unnest(h_batch_step_id, h_step_id, h_attempt, h_reason) AS h(bs_id, step_id, attempt, reason)
            WHERE bs.id = h.bs_id AND bs.reported_at IS NULL AND bs.final_status IS NULL
            RETURNING bs.batch_id, h.step_id, h.attempt, h.reason
        ), moved AS (
            UPDATE tasker_workflow_steps s SET
                state = CASE WHEN e.reason = 'request_too_large' THEN 'error' ELSE 'pending' END,
                ready_key = CASE WHEN e.reason = 'request_too_large' THEN NULL ELSE s.handler_key END,
                unstarted_attempts = s.unstarted_attempts + 1,
                transition_count = s.transition_count + CASE WHEN e.reason = 'request_too_large' THEN 2 ELSE 1 END,
                processed_at = CASE WHEN e.reason = 'request_too_large' THEN v_now END,
                error = CASE WHEN e.reason = 'request_too_large' THEN jsonb_build_object('message',
                    'the request of this step is larger than limits.batch_bytes', 'error_code', e.reason) END
            FROM ended e
            WHERE s.workflow_step_id = e.step_id AND s.state = 'in_progress' AND s.attempts = e.attempt
            RETURNING s.workflow_step_id, s.task_id, s.attempts, s.transition_count, s.state, s.handler_key, s.error,
                      e.reason, e.batch_id
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
        SELECT coalesce(array_agg(ROW(NULL, m.workflow_step_id, m.task_id, m.attempts, m.state, m.handler_key, m.reason,
                                      m.error, m.batch_id)::tasker_turn_move), '{}')
            INTO v_moved FROM moved m;
    END IF;

    -- Orphans: what may run again does so at once, as a new attempt in a new batch; the rest ends in error.
    IF cardinality(o_step_id) > 0 THEN
        WITH ended AS (
            UPDATE tasker_step_execution_batch_steps bs SET final_status = 'orphaned', updated_at = v_now,
                metadata = jsonb_build_object('reason', o.reason)
            FROM unnest(o_batch_step_id, o_step_id, o_attempt, o_reason) WITH ORDINALITY
                AS o(bs_id, step_id, attempt, reason, ord)
            WHERE bs.id = o.bs_id AND bs.reported_at IS NULL AND bs.final_status IS NULL
            RETURNING bs.batch_id, o.ord, o.step_id, o.attempt, o.reason
        ), judged AS (
            SELECT e.*, s.on_orphan = 'retry' AND s.retryable
                        AND s.attempts - s.unstarted_attempts < s.retry_limit AS again
            FROM ended e JOIN tasker_workflow_steps s ON s.workflow_step_id = e.step_id
        ), moved AS (
            UPDATE tasker_workflow_steps s SET
                state = CASE WHEN j.again THEN 'waiting_for_retry' ELSE 'error' END,
                ready_key = CASE WHEN j.again THEN s.handler_key END,
                next_attempt_at = CASE WHEN j.again THEN v_now END,
                transition_count = s.transition_count + 1,
                processed_at = CASE WHEN NOT j.again THEN v_now END,
                error = jsonb_build_object('message', tasker_orphan_message(j.reason), 'error_type', 'Orphaned',
                                           'error_code', j.reason, 'attempt', j.attempt)
            FROM judged j
            WHERE s.workflow_step_id = j.step_id AND s.state = 'in_progress' AND s.attempts = j.attempt
            RETURNING j.ord, s.workflow_step_id, s.task_id, s.attempts, s.transition_count, s.state, s.handler_key,
                      s.error, j.reason, j.batch_id
        ), history AS (
            INSERT INTO tasker_workflow_step_transitions
                (workflow_step_id, task_id, sort_key, from_state, to_state, event, metadata)
            SELECT m.workflow_step_id, m.task_id, m.transition_count, 'in_progress', m.state,
                   CASE WHEN m.state = 'error' THEN 'fail' ELSE 'await_retry' END,
                   jsonb_build_object('reason', m.reason)
            FROM moved m
        )
        SELECT v_moved || coalesce(array_agg(ROW(m.ord, m.workflow_step_id, m.task_id, m.attempts, m.state, m.handler_key,
                                                 m.reason, m.error, m.batch_id)::tasker_turn_move), '{}')
            INTO v_moved FROM moved m;
    END IF;

    -- A start is granted while that attempt is still the current one and still out, and to its session again when
    -- it asks again. The task's lock keeps a cancellation out until this is committed.
    IF cardinality(g_step_id) > 0 THEN
        WITH asked AS (
            SELECT g.ord, g.bs_id, s.state, s.attempts = g.attempt AS is_current,
                   bs.reported_at IS NULL AND bs.final_status IS NULL AS is_out
            FROM unnest(g_batch_step_id, g_step_id, g_attempt) WITH ORDINALITY AS g(bs_id, step_id, attempt, ord)
            JOIN tasker_workflow_steps s ON s.workflow_step_id = g.step_id
            JOIN tasker_step_execution_batch_steps bs ON bs.id = g.bs_id
        ), granted AS (
            UPDATE tasker_step_execution_batch_steps bs SET granted_at = coalesce(bs.granted_at, v_now),
                updated_at = v_now
            FROM (SELECT DISTINCT a.bs_id FROM asked a WHERE a.state = 'in_progress' AND a.is_current AND a.is_out) a
            WHERE bs.id = a.bs_id
        )
        SELECT coalesce(array_agg(ROW(a.ord, CASE
                WHEN a.state = 'cancelled' THEN 'cancelled'
                WHEN NOT a.is_current THEN 'stale_attempt'
                WHEN NOT a.is_out OR a.state <> 'in_progress' THEN 'ended' END)::tasker_turn_grant), '{}')
            INTO v_grant FROM asked a;
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
            ORDER BY s.next_attempt_at, s.workflow_step_id LIMIT 1000 FOR UPDATE SKIP LOCKED)
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
        -- A task's first claim moves it to in_progress, so its row is needed: where somebody holds it, skip, and
        -- look again soon.
        v_count := cardinality(v_claim);
        v_keys := ARRAY(SELECT DISTINCT c.handler_key FROM unnest(v_claim) c);
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
        IF cardinality(v_claim) < v_count THEN
            v_locked := v_keys;
        END IF;
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
    IF cardinality(v_final) > 0 OR cardinality(v_claim) > 0 OR cardinality(v_moved) > 0 THEN
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
                    SELECT m.task_id, 0, -1, false FROM unnest(v_moved) m WHERE m.new_state = 'error'
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

    -- Dead letters: orphans that end in error, failures at the limit, requests too large; nothing else. A success
    -- that comes too late is shown on its dead letter.
    IF cardinality(v_moved) > 0 OR EXISTS (SELECT FROM unnest(v_final) f WHERE f.dead_letter IS NOT NULL) THEN
        INSERT INTO tasker_dead_letters (workflow_step_id, task_id, attempt, reason, last_error, last_worker, created_at)
            SELECT f.step_id, f.task_id, f.attempt, f.dead_letter, f.error::jsonb, left(f.worker, 255), v_now
            FROM unnest(v_final) f WHERE f.dead_letter IS NOT NULL
            UNION ALL
            SELECT m.step_id, m.task_id, m.attempt, m.reason, m.error, coalesce(w.worker_id, b.session), v_now
            FROM unnest(v_moved) m
            JOIN tasker_step_execution_batches b ON b.batch_id = m.batch_id
            LEFT JOIN tasker_workers w ON w.session = b.session
            WHERE m.new_state = 'error';
    END IF;
    IF EXISTS (SELECT FROM unnest(v_final) f WHERE f.disposition IN ('late', 'stale_attempt') AND f.status = 'completed'
               AND NOT f.unusable) THEN
        UPDATE tasker_dead_letters d SET late_result = coalesce(f.output::jsonb, 'null')
        FROM unnest(v_final) f
        WHERE f.disposition IN ('late', 'stale_attempt') AND f.status = 'completed' AND NOT f.unusable
          AND d.workflow_step_id = f.step_id AND d.attempt = f.attempt AND d.late_result IS NULL;
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
        FROM unnest(v_more) k(key)
        UNION ALL
        SELECT 'more', NULL, 'locked', NULL, NULL, NULL, NULL, NULL, NULL, k.key, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
               NULL, NULL, NULL, NULL
        FROM unnest(v_locked) k(key)
        UNION ALL
        SELECT 'orphan', m.ord, m.new_state, m.reason, m.task_id, m.step_id, m.attempt, NULL, NULL, m.handler_key, NULL, NULL,
               NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL
        FROM unnest(v_moved) m WHERE m.ord IS NOT NULL
        UNION ALL
        SELECT 'grant', g.ord, g.refusal, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
               NULL, NULL, NULL, NULL
        FROM unnest(v_grant) g;
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
