-- A turn in fewer and cheaper statements: what a statement costs before its first row (30 to 80 µs) was most of a small
-- turn, and reading the same rows again and again a third of a large one. Every statement names the lowest id it
-- can meet, so that partitions of long ago are left out before they are opened. (The highest too would leave out the
-- open partition; but of a range the planner believes that it holds one row in 200, and then reads it for each row of
-- the other side.) Steps are looked up one by one (LIMIT 1, ANY): as a join, between the first ANALYZE of one table and
-- that of the next, the planner takes a step's id for one in 200 and reads all steps instead, for most of a minute.
-- (Naming a step's task too would tell it better, but then it chooses the partition anew for each row: 7 % slower.)

-- The ready index in the order of claims, both columns ascending, so that a claim can start where the last one ended.
DROP INDEX tasker_workflow_steps_ready;
CREATE INDEX tasker_workflow_steps_ready ON tasker_workflow_steps (ready_key, (-priority::int), workflow_step_id)
    WHERE ready_key IS NOT NULL;
DO $$
DECLARE v_function regproc;
BEGIN
    FOREACH v_function IN ARRAY ARRAY['tasker_next_claims'::regproc, 'tasker_explain_places'::regproc] LOOP
        EXECUTE replace(pg_get_functiondef(v_function), 'ORDER BY s.priority DESC, s.workflow_step_id',
                        'ORDER BY -s.priority::int, s.workflow_step_id');
    END LOOP;
END $$;

-- A submission says from where on its steps stand (its ids are taken in one block, rising), and which shard's lane they
-- are for when there is one task only.
DO $$
DECLARE
    v_old text := $q$THEN 'keys:' || v_keys ELSE 'scan' END$q$;
    v_new text := $q$THEN format('keys:%s;from:%s:%s', v_keys, (SELECT max(n.priority) FROM unnest(v_new) n), v_ids[1])
                 || CASE WHEN cardinality(v_new) = 1 THEN ';shard:' || (hashint8(v_new[1].task_id) & 63) ELSE '' END
            ELSE 'scan' END$q$;
BEGIN
    EXECUTE replace(pg_get_functiondef('tasker_create_tasks'::regproc), v_old, v_new);
END $$;

-- What a first final report did.
CREATE TYPE tasker_turn_verdict AS (ord int, step_id bigint, task_id bigint, attempt int, disposition text,
    new_state text, dead_letter text, is_late_success boolean);
-- A step that may be claimed, or a child of a step that completed in this turn (it loses `parents_done` parents).
CREATE TYPE tasker_turn_candidate AS (step_id bigint, task_id bigint, handler_key int, namespace_id int,
    priority smallint, state text, attempts int, transition_count int, timeout_ms bigint, parents_done int,
    is_ready boolean);
-- A step that is claimed for a session.
CREATE TYPE tasker_turn_assignment AS (step_id bigint, task_id bigint, handler_key int, session_no int,
    old_state text, attempt int, sort_key int, place bigint, timeout_ms bigint, parents_done int, priority smallint);

-- One turn of the listener: everything that happened since the last one is written, and what became ready is claimed,
-- in one transaction and one round trip. The order inside follows the lock order of the whole system: tasks by ascending
-- id first, then their steps (protected by the task's lock), then batches. Claiming takes its candidates with SKIP LOCKED
-- and never waits.
-- Parameters come in parallel arrays, one prefix per kind:
--   p_lane of p_lanes looks for waiting steps of its own shards only; what it meets of others, row locks order
--   p_notify  NOTIFY tasker_done of ended tasks with this transaction: sooner than afterwards, but the server lets only
--      one transaction that notifies commit at a time
--   p_tasks   the tasks of all of these, ascending      p_low_batch   the lowest batch of all of these
--   m_* messages to record, in order of arrival; class: final (at most one for a delivery) | duplicate | noted |
--      unknown | stale_attempt
--      m_unusable: the worker's word stands in `status`, but its output cannot be kept: the attempt ends in error
--   h_* steps handed back unstarted      r_* steps reported running      b_* batches whose state moves
--   o_* deliveries that are orphans: their worker is gone or their time is up
--   g_* deliveries whose worker asks to start (claim_first)
--   k_* handler keys that may be claimed, per profile (sessions that serve the same keys); scan: waiting steps too, from
--      (falling, step_id) on: nothing of that key waits before (core/ready_position.hpp); one_namespace: all keys of the
--      profile are of the same one
--   s_* free slots per profile (1 … p_profiles), in the order in which they are to be filled: those after `after` and up
--      to `upto` are of session session_no, which indexes c_sessions
-- Rows returned, by kind:
--   report  of a final message (ord): info = disposition, name = new step state; only where it is not `applied` and
--           `complete`
--   claim   one per claimed step; ord = its priority, none where this very turn made it ready
--   task    whose state changed: info = state; name is set where that has been notified (p_notify)
--   more    ready steps of handler_key may still wait. info `locked`: somebody holds them; with ord = priority and
--           step_id: children of this turn, none before that place
--   orphan  (ord) info = new step state; no row when the step had moved on
--   grant   (ord) info = none, or why not
CREATE FUNCTION tasker_turn(
    p_lane smallint, p_epoch bigint, p_turn bigint, p_tasks bigint[], p_low_batch bigint,
    m_class text[], m_batch_id bigint[], m_batch_step_id bigint[], m_step_id bigint[], m_task_id bigint[],
    m_attempt int[], m_type text[], m_status text[], m_worker text[], m_session text[], m_sequence bigint[],
    m_exec_ms bigint[], m_raw text[], m_output text[], m_error text[], m_retryable boolean[],
    m_handler_stopped boolean[], m_backoff double precision[], m_unusable boolean[],
    h_batch_id bigint[], h_step_id bigint[], h_task_id bigint[], h_attempt int[], h_reason text[],
    o_batch_id bigint[], o_step_id bigint[], o_task_id bigint[], o_attempt int[], o_reason text[],
    g_batch_id bigint[], g_step_id bigint[], g_task_id bigint[], g_attempt int[],
    r_batch_id bigint[], r_step_id bigint[], r_age_ms bigint[],
    b_batch_id bigint[], b_from text[], b_to text[], b_steps int[], b_partials int[], b_completion boolean[],
    b_reconciliation text[], b_detail text[],
    p_profiles int, k_profile int[], k_key int[], k_scan boolean[], k_falling int[], k_step_id bigint[],
    k_one_namespace boolean[],
    s_profile int[], s_session_no int[], s_after int[], s_upto int[], c_sessions text[],
    p_batch_size int, p_due boolean, p_instance text, p_lanes smallint, p_notify boolean)
RETURNS TABLE (kind text, ord int, info text, name text, task_id bigint, step_id bigint, attempt int,
    retry_limit int, timeout_ms bigint, handler_key int, claim_first boolean, batch_id bigint, batch_uuid text,
    batch_step_id bigint, sequence_order int, session_no int, named_task_id int, template_revision int,
    claimed_at text, context text, previous_results text)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    v_now timestamptz := clock_timestamp();
    v_claimed_at text;
    v_low_task bigint := p_tasks[1];  -- of all that this turn touches; what it claims may be older
    v_final tasker_turn_verdict[] := '{}';
    v_moved tasker_turn_move[] := '{}';
    v_grant tasker_turn_grant[] := '{}';
    v_child tasker_turn_candidate[] := '{}';
    v_claim tasker_turn_assignment[] := '{}';
    v_ids bigint[] := '{}'; v_starting bigint[] := '{}'; v_held bigint[]; v_more int[] := '{}'; v_locked int[] := '{}';
    v_count int; v_expected int; v_has_dead boolean := false; v_has_late boolean := false; v_has_other boolean := false;
    v_has_moved_task boolean := false;
    v_scan_all boolean := p_due OR cardinality(h_step_id) > 0 OR cardinality(o_step_id) > 0;
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
    END IF;

    -- Reports: what does each first final report do? Reads after the lock, so it sees what the lock waited for. Then
    -- the steps, the deliveries, the ledger, the steps' history, and who has one parent less.
    IF cardinality(m_class) > 0 THEN
        WITH judged AS MATERIALIZED (
            SELECT r.*, s.state AS old_state, s.transition_count + 1 AS sort_key, s.retryable AS step_retryable,
                CASE WHEN r.class <> 'final' THEN r.class
                     WHEN s.state IS NULL OR bs.batch_id IS NULL THEN 'unknown'
                     WHEN bs.reported_at IS NOT NULL THEN 'duplicate'
                     WHEN s.attempts <> r.attempt THEN 'stale_attempt'
                     WHEN s.state = 'in_progress'
                          OR (s.state = 'waiting_for_retry' AND r.status = 'completed' AND NOT r.unusable) THEN 'applied'
                     ELSE 'late' END AS disposition,
                tasker_step_verdict(CASE WHEN r.unusable THEN 'error' ELSE r.status END, r.retryable, r.handler_stopped,
                    s.retryable, s.on_orphan, s.attempts - s.unstarted_attempts, s.retry_limit) AS verdict
            FROM unnest(m_class, m_batch_id, m_batch_step_id, m_step_id, m_task_id, m_attempt, m_type, m_status, m_worker,
                    m_session, m_sequence, m_exec_ms, m_raw, m_output, m_error, m_retryable, m_handler_stopped,
                    m_backoff, m_unusable)
                WITH ORDINALITY AS r(class, batch_id, batch_step_id, step_id, task_id, attempt, type, status, worker,
                    session, sequence, exec_ms, raw, output, error, retryable, handler_stopped, backoff, unusable, ord)
            LEFT JOIN tasker_workflow_steps s ON r.class = 'final' AND s.workflow_step_id = r.step_id
                AND s.task_id >= v_low_task
            LEFT JOIN tasker_step_execution_batch_steps bs ON r.class = 'final' AND bs.batch_id = r.batch_id
                AND bs.workflow_step_id = r.step_id AND bs.batch_id >= p_low_batch
        ), steps AS (
            UPDATE tasker_workflow_steps s SET
                state = j.verdict,
                transition_count = j.sort_key,
                ready_key = NULL,
                processed_at = CASE WHEN j.verdict <> 'waiting_for_retry' THEN v_now END,
                results = CASE WHEN j.verdict = 'complete' THEN j.output::jsonb END,
                error = CASE WHEN j.verdict <> 'complete' THEN j.error::jsonb END,
                backoff_request_seconds = CASE WHEN j.verdict = 'waiting_for_retry' THEN j.backoff END,
                next_attempt_at = CASE WHEN j.verdict = 'waiting_for_retry'
                                       THEN v_now + make_interval(secs => coalesce(j.backoff, 0)) END
            FROM judged j
            WHERE j.disposition = 'applied' AND s.workflow_step_id = j.step_id
              AND s.task_id >= v_low_task
              AND s.attempts = j.attempt AND s.state = j.old_state
            RETURNING 1
        ), deliveries AS (
            -- What was handed back has left its batch's expectation, and an orphan stays one: a late report does
            -- not bring them back.
            UPDATE tasker_step_execution_batch_steps bs SET reported_at = v_now, updated_at = v_now,
                final_status = coalesce(bs.final_status, j.status)
            FROM judged j
            WHERE j.class = 'final' AND j.disposition NOT IN ('duplicate', 'unknown') AND bs.batch_id = j.batch_id
              AND bs.workflow_step_id = j.step_id AND bs.batch_id >= p_low_batch
        ), ledger AS (
            INSERT INTO tasker_step_execution_batch_received_results (batch_id, batch_step_id, message_type, worker_id,
                    session, sequence_number, status, execution_time_ms, disposition, raw_message_json, processed_at,
                    processing_errors)
                SELECT j.batch_id, j.batch_step_id, j.type, left(j.worker, 255), j.session, j.sequence, j.status,
                       j.exec_ms, j.disposition, j.raw::json, v_now, CASE WHEN j.unusable THEN j.error::jsonb END
                FROM judged j ORDER BY j.ord
        ), history AS (
            INSERT INTO tasker_workflow_step_transitions
                    (workflow_step_id, task_id, sort_key, from_state, to_state, event, created_at)
                SELECT j.step_id, j.task_id, j.sort_key, j.old_state, j.verdict,
                       CASE j.verdict WHEN 'complete' THEN 'complete' WHEN 'error' THEN 'fail' ELSE 'await_retry' END,
                       v_now
                FROM judged j WHERE j.disposition = 'applied'
        ), children AS (
            SELECT e.to_step_id, e.task_id, count(*)::int AS parents_done
            FROM judged j
            JOIN tasker_workflow_step_edges e ON e.from_step_id = j.step_id
                AND e.task_id >= v_low_task
            WHERE j.disposition = 'applied' AND j.verdict = 'complete'
            GROUP BY e.to_step_id, e.task_id
        ), verdicts AS (
            SELECT j.ord::int, j.step_id, j.task_id, j.attempt, j.disposition,
                   CASE WHEN j.disposition = 'applied' THEN j.verdict END AS new_state,
                   CASE WHEN j.disposition = 'applied' AND j.verdict = 'error' AND j.status = 'failed'
                             AND NOT j.unusable THEN
                       CASE WHEN NOT coalesce(j.handler_stopped, true) THEN 'handler_still_running'
                            WHEN coalesce(j.retryable, true) AND j.step_retryable THEN 'retries_exhausted' END
                   END AS dead_letter,
                   j.disposition IN ('late', 'stale_attempt') AND j.status = 'completed' AND NOT j.unusable
                       AS is_late_success
            FROM judged j WHERE j.class = 'final'
        )
        SELECT coalesce(array_agg(ROW(v.*)::tasker_turn_verdict), '{}'),
               count(*) FILTER (WHERE v.disposition = 'applied'), (SELECT count(*) FROM steps),
               coalesce(bool_or(v.dead_letter IS NOT NULL), false), coalesce(bool_or(v.is_late_success), false),
               coalesce(bool_or(v.new_state IS DISTINCT FROM 'complete'), false),
               coalesce((SELECT array_agg(ROW(s.workflow_step_id, s.task_id, s.handler_key, s.namespace_id, s.priority,
                             s.state, s.attempts, s.transition_count, s.timeout_ms, c.parents_done,
                             s.state = 'pending' AND s.remaining_parents = c.parents_done)::tasker_turn_candidate)
                         FROM children c
                         CROSS JOIN LATERAL (SELECT s.* FROM tasker_workflow_steps s
                                             WHERE s.workflow_step_id = c.to_step_id AND s.task_id >= v_low_task
                                             LIMIT 1) s), '{}')
            INTO v_final, v_expected, v_count, v_has_dead, v_has_late, v_has_other, v_child
        FROM verdicts v;
        IF v_count <> v_expected THEN
            RAISE EXCEPTION 'turn applied % of % reports', v_count, v_expected USING ERRCODE = '40001';
        END IF;
    END IF;

    -- Hand-backs: proven unstarted, so the attempt does not count and the step is ready again at once. A request
    -- that is too large to be sent ends its step instead. Where the step has moved on (cancelled), only its
    -- delivery ends.
    IF cardinality(h_step_id) > 0 THEN
        WITH ended AS (
            UPDATE tasker_step_execution_batch_steps bs SET final_status = 'handed_back', updated_at = v_now,
                metadata = jsonb_build_object('reason', h.reason)
            FROM unnest(h_batch_id, h_step_id, h_attempt, h_reason) AS h(batch_id, step_id, attempt, reason)
            WHERE bs.batch_id = h.batch_id AND bs.workflow_step_id = h.step_id
              AND bs.batch_id >= p_low_batch
              AND bs.reported_at IS NULL AND bs.final_status IS NULL
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
            WHERE s.workflow_step_id = e.step_id
              AND s.task_id >= v_low_task AND s.state = 'in_progress'
              AND s.attempts = e.attempt
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
            FROM unnest(o_batch_id, o_step_id, o_attempt, o_reason) WITH ORDINALITY
                AS o(batch_id, step_id, attempt, reason, ord)
            WHERE bs.batch_id = o.batch_id AND bs.workflow_step_id = o.step_id
              AND bs.batch_id >= p_low_batch
              AND bs.reported_at IS NULL AND bs.final_status IS NULL
            RETURNING bs.batch_id, o.ord, o.step_id, o.attempt, o.reason
        ), judged AS (
            SELECT e.*, s.on_orphan = 'retry' AND s.retryable
                        AND s.attempts - s.unstarted_attempts < s.retry_limit AS again
            FROM ended e
            JOIN tasker_workflow_steps s ON s.workflow_step_id = e.step_id
                AND s.task_id >= v_low_task
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
            WHERE s.workflow_step_id = j.step_id
              AND s.task_id >= v_low_task AND s.state = 'in_progress'
              AND s.attempts = j.attempt
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
            SELECT g.ord, bs.batch_id, bs.workflow_step_id, s.state, s.attempts = g.attempt AS is_current,
                   bs.reported_at IS NULL AND bs.final_status IS NULL AS is_out
            FROM unnest(g_batch_id, g_step_id, g_attempt) WITH ORDINALITY AS g(batch_id, step_id, attempt, ord)
            JOIN tasker_workflow_steps s ON s.workflow_step_id = g.step_id
                AND s.task_id >= v_low_task
            JOIN tasker_step_execution_batch_steps bs ON bs.batch_id = g.batch_id AND bs.workflow_step_id = g.step_id
                AND bs.batch_id >= p_low_batch
        ), granted AS (
            UPDATE tasker_step_execution_batch_steps bs SET granted_at = coalesce(bs.granted_at, v_now),
                updated_at = v_now
            FROM (SELECT DISTINCT a.batch_id, a.workflow_step_id FROM asked a
                  WHERE a.state = 'in_progress' AND a.is_current AND a.is_out) a
            WHERE bs.batch_id = a.batch_id AND bs.workflow_step_id = a.workflow_step_id
              AND bs.batch_id >= p_low_batch
        )
        SELECT coalesce(array_agg(ROW(a.ord, CASE
                WHEN a.state = 'cancelled' THEN 'cancelled'
                WHEN NOT a.is_current THEN 'stale_attempt'
                WHEN NOT a.is_out OR a.state <> 'in_progress' THEN 'ended' END)::tasker_turn_grant), '{}')
            INTO v_grant FROM asked a;
    END IF;

    IF cardinality(r_step_id) > 0 THEN
        UPDATE tasker_step_execution_batch_steps bs
            SET started_at = v_now - make_interval(secs => r.age_ms / 1000.0), updated_at = v_now
        FROM unnest(r_batch_id, r_step_id, r_age_ms) AS r(batch_id, step_id, age_ms)
        WHERE bs.batch_id = r.batch_id AND bs.workflow_step_id = r.step_id
          AND bs.batch_id >= p_low_batch
          AND bs.started_at IS NULL;
    END IF;

    -- Retries that have become due (and tasks whose not_before has passed) join the ready index.
    IF p_due THEN
        WITH due AS (
            SELECT s.workflow_step_id FROM tasker_workflow_steps s
            WHERE s.next_attempt_at <= v_now AND s.ready_key IS NULL AND s.remaining_parents = 0
              AND s.state IN ('pending', 'waiting_for_retry') AND s.shard % p_lanes = p_lane
            ORDER BY s.next_attempt_at, s.workflow_step_id LIMIT 1000 FOR UPDATE SKIP LOCKED)
        UPDATE tasker_workflow_steps s SET ready_key = s.handler_key FROM due
        WHERE s.workflow_step_id = due.workflow_step_id;
    END IF;

    -- Claims. Profile by profile: rank what is ready (priority, then namespaces in turn, then age) and put it on
    -- the slots in the order the listener gave them. What is claimed at once never enters the ready index. Of what
    -- waits, only what wins is locked: next to children that come first, that may be none of hundreds.
    IF NOT (v_scan_all OR true = ANY (k_scan) OR cardinality(v_child) > 0) THEN
        p_profiles := 0;
    END IF;
    FOR v_profile IN 1 .. p_profiles LOOP
        IF v_profile > 1 THEN
            v_ids := ARRAY(SELECT a.step_id FROM unnest(v_claim) a);
        END IF;
        WITH slots AS MATERIALIZED (
            SELECT s.* FROM unnest(s_profile, s_session_no, s_after, s_upto) AS s(profile, session_no, after, upto)
            WHERE s.profile = v_profile
        ), keys AS MATERIALIZED (
            SELECT k.key, k.scan OR v_scan_all AS scan,
                   CASE WHEN v_scan_all THEN -2147483648 ELSE k.falling END AS falling, k.step_id, k.one_namespace
            FROM unnest(k_profile, k_key, k_scan, k_falling, k_step_id, k_one_namespace)
                AS k(profile, key, scan, falling, step_id, one_namespace)
            WHERE k.profile = v_profile
        ), children AS MATERIALIZED (
            SELECT c.step_id, c.handler_key, c.namespace_id, c.priority, c.parents_done, c AS child,
                   c.is_ready AND c.handler_key IN (SELECT k.key FROM keys k) AS is_eligible
            FROM unnest(v_child) c
        ), room AS MATERIALIZED (
            -- Children that stand before all that waits take the first slots for certain (unless namespaces take
            -- turns): so many steps less need be looked at. One at least, to know whether more wait.
            SELECT greatest(1, (SELECT max(l.upto) FROM slots l) - (
                SELECT count(*) FROM children c
                WHERE c.is_eligible AND first.one_namespace
                  AND ROW(-c.priority::int, c.step_id) < ROW(first.falling, first.step_id))) AS steps
            FROM (SELECT k.falling, k.step_id, k.one_namespace FROM keys k WHERE k.scan
                  ORDER BY k.falling, k.step_id LIMIT 1) first
        ), candidates AS (
            SELECT c.* FROM children c
            UNION ALL
            SELECT w.*, true FROM keys k CROSS JOIN LATERAL (
                SELECT s.workflow_step_id, s.handler_key, s.namespace_id, s.priority, 0, NULL::tasker_turn_candidate
                FROM tasker_workflow_steps s
                WHERE s.ready_key = k.key AND ROW(-s.priority::int, s.workflow_step_id) >= ROW(k.falling, k.step_id)
                  AND s.shard % p_lanes = p_lane AND NOT (s.workflow_step_id = ANY (v_ids))
                ORDER BY -s.priority::int, s.workflow_step_id
                LIMIT (SELECT r.steps FROM room r)) w
            WHERE k.scan
        ), ranked AS (
            -- Whose turn it is differs from turn to turn: with one slot per turn the oldest step would otherwise
            -- always belong to the namespace that floods.
            SELECT c.*, row_number() OVER (ORDER BY c.is_eligible DESC, c.priority DESC, c.in_turn,
                                           hashint8extended(c.namespace_id, p_turn), c.step_id) AS place
            FROM (SELECT c.*, row_number() OVER (PARTITION BY c.is_eligible, c.priority, c.namespace_id
                                                 ORDER BY c.step_id) AS in_turn
                  FROM candidates c) c
        ), placed AS MATERIALIZED (
            SELECT r.child, r.handler_key, r.parents_done > 0 AS is_child, r.is_eligible, r.place,
                   CASE WHEN r.is_eligible THEN s.session_no END AS session_no
            FROM ranked r LEFT JOIN slots s ON r.place > s.after AND r.place <= s.upto
        ), won AS MATERIALIZED (
            -- The places of what waits, key by key: its first, second … step takes the first, second … of them.
            SELECT p.handler_key AS key, array_agg(p.place ORDER BY p.place) AS places,
                   array_agg(p.session_no ORDER BY p.place) AS sessions
            FROM placed p WHERE NOT p.is_child AND p.session_no IS NOT NULL GROUP BY p.handler_key
        ), held AS (
            SELECT w.key, w.sessions[h.nth] AS session_no, w.places[h.nth] AS place, h.*
            FROM won w JOIN keys k ON k.key = w.key
            CROSS JOIN LATERAL (
                SELECT l.*, row_number() OVER (ORDER BY -l.priority::int, l.workflow_step_id) AS nth
                FROM (SELECT s.workflow_step_id, s.task_id, s.state, s.attempts, s.transition_count, s.timeout_ms,
                             s.priority
                      FROM tasker_workflow_steps s
                      WHERE s.ready_key = k.key
                        AND ROW(-s.priority::int, s.workflow_step_id) >= ROW(k.falling, k.step_id)
                        AND s.shard % p_lanes = p_lane AND NOT (s.workflow_step_id = ANY (v_ids))
                      ORDER BY -s.priority::int, s.workflow_step_id
                      LIMIT cardinality(w.places) FOR UPDATE SKIP LOCKED) l) h
        ), claims AS (
            SELECT (p.child).step_id, (p.child).task_id, p.handler_key, p.session_no, (p.child).state,
                   (p.child).attempts + 1 AS attempt, (p.child).transition_count + 1, p.place, (p.child).timeout_ms,
                   (p.child).parents_done, (p.child).priority
            FROM placed p WHERE p.is_child AND p.session_no IS NOT NULL
            UNION ALL
            SELECT h.workflow_step_id, h.task_id, h.key, h.session_no, h.state, h.attempts + 1, h.transition_count + 1,
                   h.place, h.timeout_ms, 0, h.priority
            FROM held h
        )
        SELECT v_claim || c.claims, v_starting || c.starting, least(v_low_task, c.low_task), p.children, v_more || p.more
            INTO v_claim, v_starting, v_low_task, v_child, v_more
        FROM (SELECT coalesce(array_agg(ROW(c.*)::tasker_turn_assignment), '{}') AS claims, min(c.task_id) AS low_task,
                     coalesce(array_agg(c.task_id) FILTER (WHERE c.parents_done = 0 AND c.attempt = 1), '{}') AS starting
              FROM claims c) c
        CROSS JOIN (
              SELECT coalesce(array_agg(p.child) FILTER (WHERE p.is_child AND p.session_no IS NULL), '{}') AS children,
                     coalesce(array_agg(DISTINCT p.handler_key)
                         FILTER (WHERE p.is_eligible AND p.place >= (SELECT max(l.upto) FROM slots l)), '{}') AS more
              FROM placed p) p;
    END LOOP;

    -- A task's first claim moves it to in_progress, so its row is needed: where somebody holds it, skip, and look
    -- again soon. (The tasks of reports are held already.)
    IF cardinality(v_starting) > 0 THEN
        v_held := ARRAY(SELECT t.task_id FROM tasker_tasks t WHERE t.task_id = ANY (v_starting)
          AND t.task_id >= v_low_task
                        ORDER BY t.task_id FOR UPDATE SKIP LOCKED);
        -- Several steps may start one task, so that this says perhaps.
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
            remaining_parents = s.remaining_parents - a.parents_done, last_attempted_at = v_now, next_attempt_at = NULL
        FROM unnest(v_claim) a
        WHERE s.workflow_step_id = a.step_id AND s.task_id >= v_low_task
          AND s.state = a.old_state;
        GET DIAGNOSTICS v_count = ROW_COUNT;
        IF v_count <> cardinality(v_claim) THEN
            RAISE EXCEPTION 'turn claimed % of % steps', v_count, cardinality(v_claim) USING ERRCODE = '40001';
        END IF;
    END IF;

    -- Children that wait for other parents, or for credit.
    IF cardinality(v_child) > 0 THEN
        UPDATE tasker_workflow_steps s SET
            remaining_parents = s.remaining_parents - c.parents_done,
            ready_key = CASE WHEN c.is_ready THEN s.handler_key ELSE s.ready_key END
        FROM unnest(v_child) c
        WHERE s.workflow_step_id = c.step_id AND s.task_id >= v_low_task;
        GET DIAGNOSTICS v_count = ROW_COUNT;
        IF v_count <> cardinality(v_child) THEN
            RAISE EXCEPTION 'turn moved % of % steps', v_count, cardinality(v_child) USING ERRCODE = '40001';
        END IF;
    END IF;

    -- Task counters and verdicts, in the same transaction as the last result.
    IF cardinality(v_final) > 0 OR cardinality(v_claim) > 0 OR cardinality(v_moved) > 0 THEN
        RETURN QUERY
        WITH changed AS MATERIALIZED (
            SELECT t.task_id, t.state::text AS old_state, t.transition_count + 1 AS sort_key,
                   t.open_steps - d.completed AS open_steps, t.movable_steps + d.movable AS movable_steps,
                   CASE WHEN t.state NOT IN ('pending', 'in_progress') THEN t.state::text
                        WHEN t.open_steps - d.completed = 0 THEN 'complete'
                        WHEN t.movable_steps + d.movable = 0 THEN
                            CASE WHEN EXISTS (SELECT 1 FROM tasker_workflow_steps s WHERE s.task_id = t.task_id
                                              AND s.task_id >= v_low_task AND s.state = 'error')
                                 THEN 'error' ELSE 'cancelled' END
                        WHEN t.state = 'pending' AND d.claimed THEN 'in_progress'
                        ELSE t.state::text END AS new_state
            FROM (SELECT x.task_id, sum(x.completed)::int AS completed, sum(x.movable)::int AS movable,
                         bool_or(x.claimed) AS claimed
                  FROM (SELECT f.task_id, (f.new_state = 'complete')::int AS completed,
                               -(f.new_state IN ('complete', 'error'))::int AS movable, false AS claimed
                        FROM unnest(v_final) f WHERE f.disposition = 'applied'
                        UNION ALL
                        SELECT a.task_id, 0, (a.parents_done > 0)::int, a.old_state = 'pending' AND a.attempt = 1
                        FROM unnest(v_claim) a WHERE a.attempt = 1 OR a.parents_done > 0
                        UNION ALL
                        SELECT c.task_id, 0, 1, false FROM unnest(v_child) c WHERE c.is_ready
                        UNION ALL
                        SELECT m.task_id, 0, -1, false FROM unnest(v_moved) m WHERE m.new_state = 'error') x
                  GROUP BY x.task_id) d
            JOIN tasker_tasks t ON t.task_id = d.task_id AND t.task_id >= v_low_task
            WHERE d.completed <> 0 OR d.movable <> 0 OR (d.claimed AND t.state = 'pending')
        ), written AS (
            UPDATE tasker_tasks t SET
                state = c.new_state, open_steps = c.open_steps, movable_steps = c.movable_steps,
                transition_count = t.transition_count + CASE WHEN c.new_state <> c.old_state THEN 1 ELSE 0 END,
                updated_at = v_now,
                completed_at = CASE WHEN c.new_state NOT IN ('pending', 'in_progress')
                                    THEN coalesce(t.completed_at, v_now) END
            FROM changed c WHERE t.task_id = c.task_id AND t.task_id >= v_low_task
        ), history AS (
            INSERT INTO tasker_task_transitions (task_id, sort_key, from_state, to_state, event, created_at)
                SELECT c.task_id, c.sort_key, c.old_state, c.new_state,
                       CASE c.new_state WHEN 'in_progress' THEN 'start' WHEN 'complete' THEN 'complete'
                                        WHEN 'error' THEN 'fail' ELSE 'cancel' END, v_now
                FROM changed c WHERE c.new_state <> c.old_state
        )
        SELECT 'task', NULL::int, c.new_state,
               CASE WHEN p_notify AND c.new_state IN ('complete', 'error', 'cancelled')
                    THEN pg_notify('tasker_done', c.task_id::text)::text END, c.task_id, NULL::bigint, NULL::int, NULL::int, NULL::bigint,
               NULL::int, NULL::boolean, NULL::bigint, NULL, NULL::bigint, NULL::int, NULL::int, NULL::int, NULL::int,
               NULL, NULL, NULL
        FROM changed c WHERE c.new_state <> c.old_state;
        v_has_moved_task := FOUND;
    END IF;

    -- Dead letters: orphans that end in error, failures at the limit, requests too large; nothing else. A success
    -- that comes too late is shown on its dead letter.
    IF v_has_dead OR cardinality(v_moved) > 0 THEN
        INSERT INTO tasker_dead_letters (workflow_step_id, task_id, attempt, reason, last_error, last_worker, created_at)
            SELECT f.step_id, f.task_id, f.attempt, f.dead_letter, r.error::jsonb, left(r.worker, 255), v_now
            FROM unnest(v_final) f
            JOIN unnest(m_error, m_worker) WITH ORDINALITY AS r(error, worker, ord) ON r.ord = f.ord
            WHERE f.dead_letter IS NOT NULL
            UNION ALL
            SELECT m.step_id, m.task_id, m.attempt, m.reason, m.error, coalesce(w.worker_id, b.session), v_now
            FROM unnest(v_moved) m
            JOIN tasker_step_execution_batches b ON b.batch_id = m.batch_id
                AND b.batch_id >= p_low_batch
            LEFT JOIN tasker_workers w ON w.session = b.session
            WHERE m.new_state = 'error';
    END IF;
    IF v_has_late THEN
        UPDATE tasker_dead_letters d SET late_result = coalesce(r.output::jsonb, 'null')
        FROM unnest(v_final) f
        JOIN unnest(m_output) WITH ORDINALITY AS r(output, ord) ON r.ord = f.ord
        WHERE f.is_late_success AND d.workflow_step_id = f.step_id AND d.attempt = f.attempt AND d.late_result IS NULL;
    END IF;

    -- New batches with their join rows, the steps' history and the batches' first two transitions.
    IF cardinality(v_claim) > 0 THEN
        v_claimed_at := to_char(v_now AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"');
        RETURN QUERY
        WITH placed AS MATERIALIZED (
            SELECT a.*, nextval('tasker_step_execution_batch_steps_id_seq') AS batch_step_id,
                   dense_rank() OVER (ORDER BY a.session_no, a.handler_key, a.n / p_batch_size) AS batch_no,
                   (a.n % p_batch_size + 1)::int AS sequence_order
            FROM (SELECT a.*, row_number() OVER (PARTITION BY a.session_no, a.handler_key ORDER BY a.place) - 1 AS n
                  FROM unnest(v_claim) a) a
        ), formed AS MATERIALIZED (
            SELECT p.batch_no, nextval('tasker_step_execution_batches_batch_id_seq') AS batch_id,
                   CASE WHEN min(p.task_id) = max(p.task_id) THEN min(p.task_id) END AS task_id,
                   min(p.handler_key) AS handler_key, min(p.session_no) AS session_no, count(*)::int AS batch_size,
                   greatest(1, (max(p.timeout_ms) / 1000)::int) AS timeout_seconds
            FROM placed p GROUP BY p.batch_no
        ), named AS MATERIALIZED (
            -- Time-ordered uuids (version 7 layout: 48 bits of milliseconds, epoch, lane, then the batch's own id).
            SELECT f.*, k.handler_class, substr(h.ms, 1, 8) || '-' || substr(h.ms, 9, 4) || '-7' || h.epoch || '-8'
                       || substr(h.id, 1, 3) || '-' || substr(h.id, 4, 12) AS batch_uuid
            FROM formed f
            JOIN tasker_handler_keys k ON k.handler_key = f.handler_key
            CROSS JOIN LATERAL (SELECT lpad(to_hex((extract(epoch FROM v_now) * 1000)::bigint), 12, '0') AS ms,
                                       lpad(to_hex(p_epoch % 4096), 3, '0') AS epoch,
                                       to_hex(p_lane % 16) || lpad(to_hex(f.batch_id), 14, '0') AS id) h
        ), batches AS (
            INSERT INTO tasker_step_execution_batches (batch_id, task_id, handler_class, handler_key, batch_uuid,
                    initiated_by, batch_size, timeout_seconds, state, session, epoch, turn, transition_count,
                    created_at, updated_at)
                SELECT n.batch_id, n.task_id, n.handler_class, n.handler_key, n.batch_uuid, p_instance, n.batch_size,
                       n.timeout_seconds, 'published', nullif(c_sessions[n.session_no], ''), p_epoch, p_turn, 2, v_now,
                       v_now
                FROM named n
        ), deliveries AS (
            INSERT INTO tasker_step_execution_batch_steps (id, batch_id, workflow_step_id, sequence_order, attempt,
                    expected_handler_class)
                SELECT p.batch_step_id, n.batch_id, p.step_id, p.sequence_order, p.attempt, n.handler_class
                FROM placed p JOIN named n ON n.batch_no = p.batch_no
        ), batch_history AS (
            INSERT INTO tasker_step_execution_batch_transitions
                    (batch_id, from_state, to_state, event_name, sort_key, most_recent, created_at)
                SELECT n.batch_id, x.from_state, x.to_state, x.event, x.sort_key, x.most_recent, v_now
                FROM named n
                CROSS JOIN (VALUES (NULL, 'created', 'claim', 1, false), ('created', 'published', 'publish', 2, true))
                    AS x(from_state, to_state, event, sort_key, most_recent)
        ), step_history AS (
            INSERT INTO tasker_workflow_step_transitions
                    (workflow_step_id, task_id, sort_key, from_state, to_state, event, created_at)
                SELECT p.step_id, p.task_id, p.sort_key, p.old_state, 'in_progress', 'claim', v_now FROM placed p
        )
        SELECT 'claim', CASE WHEN p.parents_done = 0 THEN p.priority::int END, p.old_state, s.name::text, p.task_id,
               p.step_id, p.attempt, s.retry_limit,
               p.timeout_ms, p.handler_key, s.claim_first, n.batch_id, n.batch_uuid, p.batch_step_id,
               p.sequence_order, p.session_no, t.named_task_id, t.template_revision, v_claimed_at, t.context::text,
               (SELECT json_object_agg(parent.name, parent.results)
                FROM tasker_workflow_steps parent
                WHERE parent.workflow_step_id = ANY (ARRAY(SELECT e.from_step_id FROM tasker_workflow_step_edges e
                                                           WHERE e.to_step_id = p.step_id AND e.task_id >= v_low_task))
                  AND parent.task_id >= v_low_task)::text
        FROM placed p
        JOIN named n ON n.batch_no = p.batch_no
        CROSS JOIN LATERAL (SELECT s.name, s.retry_limit, s.claim_first FROM tasker_workflow_steps s
                            WHERE s.workflow_step_id = p.step_id AND s.task_id >= v_low_task LIMIT 1) s
        JOIN tasker_tasks t ON t.task_id = p.task_id AND t.task_id >= v_low_task
        ORDER BY p.batch_no, p.sequence_order;
    END IF;

    -- Batches that moved: counters, state, verdict. b_steps counts the transitions (0, 1, or 2 when the batch
    -- passes through executing within this turn). A flag is cleared before the new row that carries it comes.
    IF cardinality(b_batch_id) > 0 THEN
        WITH moved AS (
            UPDATE tasker_step_execution_batches b SET
                state = x.to_state, transition_count = b.transition_count + x.steps,
                partial_results_received = b.partial_results_received + x.partials,
                final_completion_received = b.final_completion_received OR x.completion,
                reconciliation_status = coalesce(x.reconciliation, b.reconciliation_status),
                metadata = CASE WHEN x.detail IS NULL THEN b.metadata ELSE b.metadata || x.detail::jsonb END,
                updated_at = v_now
            FROM unnest(b_batch_id, b_from, b_to, b_steps, b_partials, b_completion, b_reconciliation, b_detail)
                AS x(id, from_state, to_state, steps, partials, completion, reconciliation, detail)
            WHERE b.batch_id = x.id AND b.batch_id >= p_low_batch AND b.state = x.from_state
            RETURNING b.batch_id, b.transition_count, x.from_state, x.to_state, x.steps
        ), cleared AS (
            UPDATE tasker_step_execution_batch_transitions t SET most_recent = false, updated_at = v_now
            FROM moved m WHERE m.steps > 0 AND t.batch_id = m.batch_id
                AND t.batch_id >= p_low_batch AND t.most_recent
            RETURNING m.batch_id, m.transition_count, m.from_state, m.to_state, m.steps
        ), history AS (
            INSERT INTO tasker_step_execution_batch_transitions
                    (batch_id, from_state, to_state, event_name, sort_key, most_recent, created_at)
                SELECT c.batch_id, CASE WHEN i.is_last AND c.steps = 2 THEN 'executing' ELSE c.from_state END,
                       CASE WHEN i.is_last THEN c.to_state ELSE 'executing' END,
                       CASE CASE WHEN i.is_last THEN c.to_state ELSE 'executing' END
                            WHEN 'executing' THEN 'start' WHEN 'timed_out' THEN 'time_out'
                            WHEN 'cancelled' THEN 'cancel' ELSE 'finish' END,
                       c.transition_count - CASE WHEN i.is_last THEN 0 ELSE 1 END, i.is_last, v_now
                FROM cleared c JOIN (VALUES (true, 1), (false, 2)) AS i(is_last, needs) ON c.steps >= i.needs
        )
        SELECT count(*) INTO v_count FROM moved;
        IF v_count <> cardinality(b_batch_id) THEN
            RAISE EXCEPTION 'turn moved % of % batches', v_count, cardinality(b_batch_id) USING ERRCODE = '40001';
        END IF;
    END IF;

    IF v_has_other THEN
        RETURN QUERY SELECT 'report', f.ord, f.disposition, f.new_state, f.task_id, f.step_id, f.attempt, NULL::int,
            NULL::bigint, NULL::int, NULL::boolean, NULL::bigint, NULL, NULL::bigint, NULL::int, NULL::int, NULL::int,
            NULL::int, NULL, NULL, NULL
        FROM unnest(v_final) f WHERE f.new_state IS DISTINCT FROM 'complete';
    END IF;
    IF cardinality(v_more) > 0 OR cardinality(v_locked) > 0 OR cardinality(v_child) > 0 THEN
        RETURN QUERY SELECT 'more', k.priority, k.why, NULL, NULL::bigint, k.step_id, NULL::int, NULL::int,
            NULL::bigint, k.key, NULL::boolean, NULL::bigint, NULL, NULL::bigint, NULL::int, NULL::int, NULL::int,
            NULL::int, NULL, NULL, NULL
        FROM (SELECT DISTINCT key, NULL::int AS priority, NULL::bigint AS step_id, NULL AS why FROM unnest(v_more) key
              UNION ALL
              SELECT key, NULL, NULL, 'locked' FROM unnest(v_locked) key
              UNION ALL
              SELECT c.handler_key, max(c.priority), min(c.step_id), NULL FROM unnest(v_child) c
              WHERE c.is_ready GROUP BY c.handler_key) k;
    END IF;
    IF cardinality(o_step_id) > 0 THEN
        RETURN QUERY SELECT 'orphan', m.ord, m.new_state, m.reason, m.task_id, m.step_id, m.attempt, NULL::int,
            NULL::bigint, m.handler_key, NULL::boolean, NULL::bigint, NULL, NULL::bigint, NULL::int, NULL::int, NULL::int,
            NULL::int, NULL, NULL, NULL
        FROM unnest(v_moved) m WHERE m.ord IS NOT NULL;
    END IF;
    IF cardinality(v_grant) > 0 THEN
        RETURN QUERY SELECT 'grant', g.ord, g.refusal, NULL, NULL::bigint, NULL::bigint, NULL::int, NULL::int,
            NULL::bigint, NULL::int, NULL::boolean, NULL::bigint, NULL, NULL::bigint, NULL::int, NULL::int, NULL::int,
            NULL::int, NULL, NULL, NULL
        FROM unnest(v_grant) g;
    END IF;
    -- Who notifies waits at the commit for others that do: that is no lock to give up for.
    IF p_notify AND v_has_moved_task THEN
        PERFORM set_config('lock_timeout', '0', true);
    END IF;
END $$;
