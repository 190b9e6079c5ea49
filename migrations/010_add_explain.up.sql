-- Why is this step not running? One cause per open step, from the predicate the claim itself uses, with what happens
-- next and when. Read-only. Everything here goes through indexes and reads each step of the task a bounded number
-- of times, so it answers within milliseconds for the largest task beside millions of other steps: the settings on
-- the functions keep the planner to that on tables it has no statistics of.

-- A step that a turn may claim: it waits in the ready index, or its time has come and the next turn puts it there.
-- Inlined where it is used. The claim reads the first half from the index on ready_key, the second half when due.
CREATE FUNCTION tasker_is_claimable(p_state text, p_remaining_parents int, p_ready_key int, p_next_attempt_at timestamptz,
    p_now timestamptz) RETURNS boolean
LANGUAGE sql IMMUTABLE AS $$
    SELECT p_ready_key IS NOT NULL
        OR (p_state IN ('pending', 'waiting_for_retry') AND p_remaining_parents = 0 AND p_next_attempt_at <= p_now)
$$;

-- A JSON array of patterns, each a whole name or, with a final *, the beginning of one; as matches_pattern() in
-- orchestrator/core/session_spec.cpp. "!name": not this one, though a wildcard covers it (the session has refused it).
CREATE FUNCTION tasker_matches_any(p_patterns jsonb, p_text text) RETURNS boolean
LANGUAGE sql IMMUTABLE AS $$
    SELECT p_patterns ? p_text
        OR (EXISTS (SELECT FROM jsonb_array_elements_text(p_patterns) p(pattern)
                    WHERE right(p.pattern, 1) = '*' AND starts_with(p_text, left(p.pattern, -1)))
            AND NOT p_patterns ? ('!' || p_text))
$$;

-- The orchestrator that rules, if there ever was one. `down`: stopped, or not seen for 5 seconds.
CREATE FUNCTION tasker_ruling_orchestrator(p_now timestamptz DEFAULT clock_timestamp())
RETURNS TABLE (instance text, epoch bigint, state text, last_seen_at timestamptz, down boolean)
LANGUAGE sql STABLE AS $$
    SELECT o.instance::text, o.epoch, o.state::text, o.last_seen_at,
           o.state = 'stopped' OR o.last_seen_at < p_now - interval '5 s'
    FROM tasker_orchestrators o ORDER BY o.epoch DESC, o.last_seen_at DESC LIMIT 1
$$;

-- Which sessions of this epoch serve these handler keys. Sessions of one program announce the same, so what they
-- announce is matched once.
CREATE FUNCTION tasker_sessions_serving(p_keys int[], p_epoch bigint)
RETURNS TABLE (handler_key int, session text, worker_id text, state text, in_flight int, credit_limit int,
    free_credit int)
LANGUAGE sql STABLE SET jit = off AS $$
    WITH announced AS MATERIALIZED (
        SELECT DISTINCT w.handlers, w.namespaces FROM tasker_workers w
        WHERE w.epoch = p_epoch AND w.state NOT IN ('lost', 'gone')
    ), served AS MATERIALIZED (
        SELECT k.handler_key, a.handlers, a.namespaces
        FROM tasker_handler_keys k
        JOIN tasker_task_namespaces n ON n.task_namespace_id = k.namespace_id
        JOIN announced a ON tasker_matches_any(a.handlers, k.handler_class)
                        AND tasker_matches_any(a.namespaces, n.name)
        WHERE k.handler_key = ANY (p_keys)
    )
    SELECT s.handler_key, w.session::text, w.worker_id::text, w.state::text, w.in_flight, w.credit_limit,
           CASE WHEN w.state = 'ready' THEN w.free_credit ELSE 0 END
    FROM served s JOIN tasker_workers w ON w.handlers = s.handlers AND w.namespaces = s.namespaces
    WHERE w.epoch = p_epoch AND w.state NOT IN ('lost', 'gone')
$$;

CREATE TYPE tasker_explain_profile AS (keys int[], slots int);
CREATE TYPE tasker_explain_due AS (step_id bigint, handler_key int, priority smallint, namespace_id int);

-- What the next turn claims, given the free credit that tasker_workers shows: the ranking of tasker_turn, profile by
-- profile, without locks. Which namespace is first within a priority differs from turn to turn, so a step whose
-- place hangs on that is not `certain`. Fewer competitors never worsen a step's worst place, so that what an earlier
-- profile may or may not take is counted as still there for the worst place, and as gone for the best.
CREATE FUNCTION tasker_next_claims(p_epoch bigint, p_now timestamptz DEFAULT clock_timestamp())
RETURNS TABLE (workflow_step_id bigint, certain boolean)
LANGUAGE plpgsql STABLE SET jit = off SET enable_seqscan = off AS $$
#variable_conflict use_column
DECLARE
    c_slots_max CONSTANT int := 1000;  -- of one profile in one turn: kSlotsPerTurnMax
    c_due_max CONSTANT int := 1000;    -- joining the ready index in one turn
    v_profiles tasker_explain_profile[];
    v_profile tasker_explain_profile;
    v_due tasker_explain_due[];
    v_certain bigint[] := '{}'; v_possible bigint[] := '{}';
    v_new bigint[]; v_maybe bigint[];
BEGIN
    -- Sessions that serve the same keys share their slots; profiles come in the order of their keys.
    SELECT array_agg(ROW(p.keys, p.slots)::tasker_explain_profile ORDER BY p.keys) INTO v_profiles
    FROM (SELECT x.keys, least(sum(x.free), c_slots_max)::int AS slots
          FROM (SELECT a.free, ARRAY(SELECT k.handler_key FROM tasker_handler_keys k
                                     JOIN tasker_task_namespaces n ON n.task_namespace_id = k.namespace_id
                                     WHERE tasker_matches_any(a.handlers, k.handler_class)
                                       AND tasker_matches_any(a.namespaces, n.name)
                                     ORDER BY k.handler_key) AS keys
                FROM (SELECT w.handlers, w.namespaces, sum(w.free_credit) AS free FROM tasker_workers w
                      WHERE w.epoch = p_epoch AND w.state = 'ready' AND w.free_credit > 0
                      GROUP BY w.handlers, w.namespaces) a) x
          WHERE x.keys <> '{}' GROUP BY x.keys) p;
    IF v_profiles IS NULL THEN
        RETURN;
    END IF;
    SELECT coalesce(array_agg(ROW(d.workflow_step_id, d.handler_key, d.priority, d.namespace_id)::tasker_explain_due), '{}')
        INTO v_due
    FROM (SELECT s.workflow_step_id, s.handler_key, s.priority, s.namespace_id FROM tasker_workflow_steps s
          WHERE s.next_attempt_at <= p_now AND s.ready_key IS NULL AND s.remaining_parents = 0
            AND s.state IN ('pending', 'waiting_for_retry')
          ORDER BY s.next_attempt_at, s.workflow_step_id LIMIT c_due_max) d;

    FOREACH v_profile IN ARRAY v_profiles LOOP
        WITH candidates AS MATERIALIZED (
            SELECT w.* FROM unnest((v_profile).keys) k(key) CROSS JOIN LATERAL (
                SELECT s.workflow_step_id, s.priority, s.namespace_id FROM tasker_workflow_steps s
                WHERE s.ready_key = k.key
                ORDER BY s.priority DESC, s.workflow_step_id
                LIMIT (v_profile).slots + cardinality(v_certain) + cardinality(v_possible)) w
            UNION ALL
            SELECT d.step_id, d.priority, d.namespace_id FROM unnest(v_due) d
            WHERE d.handler_key = ANY ((v_profile).keys)
        ), there AS MATERIALIZED (
            SELECT c.*, p.id IS NOT NULL AS possible FROM candidates c
            LEFT JOIN unnest(v_certain) x(id) ON x.id = c.workflow_step_id
            LEFT JOIN unnest(v_possible) p(id) ON p.id = c.workflow_step_id
            WHERE x.id IS NULL
        ), worst AS (
            SELECT x.workflow_step_id, count(*) OVER (ORDER BY x.priority DESC, x.in_turn) AS place
            FROM (SELECT t.*, row_number() OVER (PARTITION BY t.priority, t.namespace_id ORDER BY t.workflow_step_id)
                      AS in_turn FROM there t) x
        ), best AS (
            SELECT x.workflow_step_id, rank() OVER (ORDER BY x.priority DESC, x.in_turn) AS place
            FROM (SELECT t.*, row_number() OVER (PARTITION BY t.priority, t.namespace_id ORDER BY t.workflow_step_id)
                      AS in_turn FROM there t WHERE NOT t.possible) x
        )
        SELECT ARRAY(SELECT w.workflow_step_id FROM worst w WHERE w.place <= (v_profile).slots),
               ARRAY(SELECT b.workflow_step_id FROM best b WHERE b.place <= (v_profile).slots)
            INTO v_new, v_maybe;
        v_certain := v_certain || v_new;
        v_possible := ARRAY(SELECT x FROM unnest(v_possible || v_maybe) x EXCEPT SELECT unnest(v_certain));
    END LOOP;
    RETURN QUERY SELECT x, true FROM unnest(v_certain) x UNION ALL SELECT x, false FROM unnest(v_possible) x;
END $$;

-- How a handler key of claimable steps stands: whether sessions serve it, and the detail its steps show.
CREATE TYPE tasker_explain_key AS (handler_key int, serving int, free int, plain boolean, detail jsonb);

-- The standing of these keys. `plain`: no session serves or has announced the handler in this epoch, and the plain
-- worker has a batch in hand, so these steps wait until it has ended.
CREATE FUNCTION tasker_explain_keys(p_keys int[], p_epoch bigint) RETURNS SETOF tasker_explain_key
LANGUAGE sql STABLE SET jit = off AS $$
    WITH serving AS MATERIALIZED (
        SELECT x.*, row_number() OVER (PARTITION BY x.handler_key ORDER BY x.state <> 'ready', x.worker_id, x.session) AS no
        FROM tasker_sessions_serving(p_keys, p_epoch) x
    ), counts AS (
        SELECT v.handler_key, count(*)::int AS serving, sum(v.free_credit)::int AS free,
               jsonb_agg(jsonb_build_object('worker_id', v.worker_id, 'session', v.session, 'state', v.state,
                   'in_flight', v.in_flight, 'credit_limit', v.credit_limit, 'free_credit', v.free_credit)
                   ORDER BY v.no) FILTER (WHERE v.no <= 5) AS sessions
        FROM serving v GROUP BY v.handler_key
    ), plain AS MATERIALIZED (
        SELECT b.batch_uuid, b.created_at FROM tasker_step_execution_batches b
        WHERE (b.reconciliation_status = 'pending' OR b.state IN ('created', 'published', 'executing'))
          AND b.state IN ('created', 'published', 'executing') AND b.session IS NULL
        ORDER BY b.batch_id LIMIT 1
    )
    SELECT k.handler_key, coalesce(c.serving, 0), coalesce(c.free, 0), p.batch_uuid IS NOT NULL,
           jsonb_strip_nulls(jsonb_build_object('namespace', n.name, 'handler_class', k.handler_class,
               'session_count', c.serving, 'sessions', c.sessions, 'plain_batch', p.batch_uuid,
               'other_namespace', CASE WHEN c.serving IS NULL THEN o.found END,
               'similar_handlers', CASE WHEN c.serving IS NULL THEN a.found END))
    FROM tasker_handler_keys k
    JOIN tasker_task_namespaces n ON n.task_namespace_id = k.namespace_id
    LEFT JOIN counts c ON c.handler_key = k.handler_key
    LEFT JOIN plain p ON c.serving IS NULL AND NOT EXISTS (
        SELECT FROM tasker_workers w WHERE w.epoch = p_epoch AND tasker_matches_any(w.handlers, k.handler_class))
    -- Whoever runs the handler, but for other namespaces.
    LEFT JOIN LATERAL (
        SELECT jsonb_agg(x.found) AS found FROM (
            SELECT jsonb_build_object('worker_id', w.worker_id, 'namespaces', w.namespaces) AS found
            FROM tasker_workers w
            WHERE w.epoch = p_epoch AND w.state NOT IN ('lost', 'gone')
              AND tasker_matches_any(w.handlers, k.handler_class)
            ORDER BY w.worker_id LIMIT 3) x) o ON c.serving IS NULL
    -- Announced names that differ in case, module or a final "Handler" only.
    LEFT JOIN LATERAL (
        SELECT jsonb_agg(x.found) AS found FROM (
            SELECT DISTINCT h.name AS found FROM tasker_workers w
            CROSS JOIN LATERAL jsonb_array_elements_text(w.handlers) h(name)
            WHERE w.epoch = p_epoch AND w.state NOT IN ('lost', 'gone') AND h.name <> k.handler_class
              AND regexp_replace(lower(h.name), '^.*(::|\.)|handler$', '', 'g')
                  = regexp_replace(lower(k.handler_class), '^.*(::|\.)|handler$', '', 'g')
            ORDER BY 1 LIMIT 3) x) a ON c.serving IS NULL
    WHERE k.handler_key = ANY (p_keys)
$$;

-- A step in progress: its open delivery, and with whom it is.
CREATE TYPE tasker_explain_delivery AS (step_id bigint, batch_uuid text, batch_state text, session text,
    published_at timestamptz, started_at timestamptz, granted_at timestamptz, worker_id text, worker_state text,
    times_out_at timestamptz);

CREATE FUNCTION tasker_explain_deliveries(p_step_ids bigint[]) RETURNS SETOF tasker_explain_delivery
LANGUAGE sql STABLE SET jit = off SET enable_seqscan = off AS $$
    WITH delivered AS MATERIALIZED (
        SELECT d.* FROM unnest(p_step_ids) x(step_id) CROSS JOIN LATERAL (
            SELECT bs.workflow_step_id, bs.batch_id, bs.sequence_order, bs.started_at, bs.granted_at
            FROM tasker_step_execution_batch_steps bs
            WHERE bs.workflow_step_id = x.step_id AND bs.reported_at IS NULL AND bs.final_status IS NULL
            ORDER BY bs.attempt DESC LIMIT 1) d)
    SELECT d.workflow_step_id, b.batch_uuid::text, b.state::text, b.session::text, b.created_at, d.started_at,
           d.granted_at, w.worker_id::text, w.state::text,
           -- Without sessions nobody says when a step starts: it has its own time after those before it in the batch.
           CASE WHEN b.session IS NULL THEN b.created_at + (
               SELECT make_interval(secs => sum(s.timeout_ms) / 1000.0)
               FROM (SELECT y.workflow_step_id FROM tasker_step_execution_batch_steps y
                     WHERE y.batch_id = d.batch_id AND y.sequence_order <= d.sequence_order OFFSET 0) y
               CROSS JOIN LATERAL (SELECT z.timeout_ms FROM tasker_workflow_steps z
                                   WHERE z.workflow_step_id = y.workflow_step_id OFFSET 0) s) END
    FROM delivered d
    CROSS JOIN LATERAL (SELECT * FROM tasker_step_execution_batches x WHERE x.batch_id = d.batch_id OFFSET 0) b
    LEFT JOIN tasker_workers w ON w.session = b.session
$$;

-- A claimable step: its key, how many ready steps of that key stand before it (null beyond what is counted), and
-- whether the next turn takes it.
CREATE TYPE tasker_explain_place AS (step_id bigint, ahead int, certain boolean);

-- Where the claimable steps of a task stand in the queues of their handler keys; those of which nothing is known,
-- because they are far behind, are left out.
CREATE FUNCTION tasker_explain_places(p_step_ids bigint[], p_keys int[], p_epoch bigint, p_any_free boolean,
    p_now timestamptz) RETURNS SETOF tasker_explain_place
LANGUAGE sql STABLE SET jit = off SET enable_seqscan = off SET enable_nestloop = off AS $$
    WITH queue AS MATERIALIZED (
        SELECT q.workflow_step_id, row_number() OVER (PARTITION BY k.key ORDER BY q.priority DESC, q.workflow_step_id) - 1
               AS ahead
        FROM unnest(p_keys) k(key) CROSS JOIN LATERAL (
            SELECT s.workflow_step_id, s.priority FROM tasker_workflow_steps s WHERE s.ready_key = k.key
            ORDER BY s.priority DESC, s.workflow_step_id
            LIMIT greatest(100, 2000 / cardinality(p_keys))) q
    ), next AS MATERIALIZED (
        SELECT c.workflow_step_id, c.certain FROM tasker_next_claims(p_epoch, p_now) c WHERE p_any_free
    ), known AS MATERIALIZED (
        SELECT coalesce(q.workflow_step_id, n.workflow_step_id) AS id, q.ahead, n.certain
        FROM queue q FULL JOIN next n ON n.workflow_step_id = q.workflow_step_id)
    SELECT k.id, k.ahead::int, k.certain
    FROM known k JOIN unnest(p_step_ids) m(id) ON m.id = k.id
$$;

-- The causes, in the order in which the task takes its own from its steps: what moves comes before what waits, and
-- what waits by itself before what needs somebody.
CREATE FUNCTION tasker_explain_causes() RETURNS text[] LANGUAGE sql IMMUTABLE AS $$
    SELECT ARRAY['running', 'awaiting_start_grant', 'accepted', 'published', 'plain_worker', 'ready', 'namespace_turn',
                 'turn_full', 'no_credit', 'backoff', 'not_before', 'no_session', 'inconsistent',
                 'waiting_for_parents', 'blocked_by_failed_step', 'failed', 'cancelled']
$$;

-- Explains one task. First row: the task itself (workflow_step_id and name are null); then one row per step that is
-- not complete or resolved, by id. No row at all: there is no such task.
--   cause: of steps as in tasker_explain_causes(). Of the task: its state once it has ended; orchestrator_down while
--     nobody drives it; else the first of its steps' causes in that order.
--   since: from when at the earliest. next_event, next_at: what ends this, and when if that is known.
--   waits_for: the unfinished parents (null for later steps where very many wait). blocking_step_id: the step at the root of the wait, whose row says the cause.
--   ahead: ready steps of the same handler and namespace that go first; null where not counted (or too many).
--   detail: what the cause needs to be told. Of the task: causes {cause: steps}, orchestrator, sessions, and handlers
--     {handler_class: who serves it} for those that claimable steps wait for: many steps share one.
CREATE FUNCTION tasker_explain_task(p_task_id bigint, p_now timestamptz DEFAULT clock_timestamp())
RETURNS TABLE (workflow_step_id bigint, name text, state text, cause text, since timestamptz, next_event text,
    next_at timestamptz, blocking_step_id bigint, waits_for bigint[], ahead int, attempts int, retry_limit int,
    handler_class text, worker_id text, session text, detail jsonb)
LANGUAGE plpgsql STABLE
SET jit = off SET enable_seqscan = off SET enable_nestloop = off SET enable_bitmapscan = off AS $$
#variable_conflict use_column
DECLARE
    c_listed_max CONSTANT int := 1000;  -- parents that are named, whole steps at a time
    v_task record; v_ruler record;
    v_low bigint; v_high bigint; v_first bigint; v_last bigint; v_id bigint; v_parent bigint; v_root bigint; v_at int;
    v_listed int := 0; v_last_listed bigint := 0; v_from_ids bigint[] := '{}'; v_to_ids bigint[] := '{}';
    v_roots bigint[]; v_failed boolean[]; v_parents bigint[];
    v_going bigint[]; v_claimable bigint[]; v_ended bigint[]; v_keys int[]; v_standing tasker_explain_key[] := '{}';
    v_places tasker_explain_place[] := '{}'; v_deliveries tasker_explain_delivery[] := '{}';
BEGIN
    SELECT t.* INTO v_task FROM tasker_tasks t WHERE t.task_id = p_task_id;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    SELECT o.* INTO v_ruler FROM tasker_ruling_orchestrator(p_now) o;

    SELECT min(s.workflow_step_id), max(s.workflow_step_id),
           min(s.workflow_step_id) FILTER (WHERE s.remaining_parents > 0),
           max(s.workflow_step_id) FILTER (WHERE s.remaining_parents > 0),
           coalesce(array_agg(s.workflow_step_id) FILTER (WHERE s.state = 'in_progress'), '{}'),
           coalesce(array_agg(s.workflow_step_id) FILTER (WHERE s.claimable), '{}'),
           coalesce(array_agg(DISTINCT s.handler_key) FILTER (WHERE s.claimable), '{}'),
           coalesce(array_agg(s.workflow_step_id) FILTER (WHERE s.state IN ('error', 'cancelled')), '{}')
        INTO v_low, v_high, v_first, v_last, v_going, v_claimable, v_keys, v_ended
    FROM (SELECT s.workflow_step_id, s.state, s.remaining_parents, s.handler_key,
                 tasker_is_claimable(s.state, s.remaining_parents, s.ready_key, s.next_attempt_at, p_now) AS claimable
          FROM tasker_workflow_steps s
          WHERE s.task_id = p_task_id AND s.state NOT IN ('complete', 'resolved_manually')) s;

    -- The root of each wait. Steps have ascending ids in topological order, and those of a task lie close together,
    -- so one pass over the edges between them suffices: a step inherits the root of an unfinished parent, first of
    -- one that has failed or waits for a failed one. v_roots holds 0 for ids that are not open steps of this task.
    IF v_first IS NOT NULL THEN
        v_roots := array_fill(0::bigint, ARRAY[(v_high - v_low + 1)::int]);
        v_failed := array_fill(false, ARRAY[(v_high - v_low + 1)::int]);
        FOR v_id IN SELECT s.workflow_step_id FROM tasker_workflow_steps s
                    WHERE s.task_id = p_task_id AND s.state NOT IN ('complete', 'resolved_manually') LOOP
            v_roots[v_id - v_low + 1] := v_id;
        END LOOP;
        FOREACH v_id IN ARRAY v_ended LOOP
            v_failed[v_id - v_low + 1] := true;
        END LOOP;
        FOR v_id, v_parents IN
            SELECT e.to_step_id, array_agg(e.from_step_id)
            FROM (SELECT x.to_step_id, x.from_step_id FROM tasker_workflow_step_edges x
                  WHERE x.to_step_id BETWEEN v_first AND v_last AND x.from_step_id BETWEEN v_low AND v_high
                  ORDER BY x.to_step_id, x.from_step_id) e
            GROUP BY e.to_step_id ORDER BY e.to_step_id
        LOOP
            v_at := v_id - v_low + 1;
            CONTINUE WHEN v_roots[v_at] = 0 OR v_failed[v_at];
            v_root := 0;
            FOREACH v_parent IN ARRAY v_parents LOOP
                CONTINUE WHEN v_roots[v_parent - v_low + 1] = 0;
                IF v_root = 0 THEN
                    v_root := v_roots[v_parent - v_low + 1];
                    -- One unfinished parent tells all, unless a failed one may follow or the list is wanted.
                    EXIT WHEN v_listed >= c_listed_max AND v_ended = '{}';
                END IF;
                IF v_failed[v_parent - v_low + 1] AND NOT v_failed[v_at] THEN
                    v_failed[v_at] := true;
                    v_root := v_roots[v_parent - v_low + 1];
                END IF;
                IF v_listed < c_listed_max OR v_id = v_last_listed THEN
                    v_from_ids := v_from_ids || v_parent;
                    v_to_ids := v_to_ids || v_id;
                    v_last_listed := v_id;
                    v_listed := v_listed + 1;
                END IF;
            END LOOP;
            IF v_root <> 0 THEN
                v_roots[v_at] := v_root;
            END IF;
        END LOOP;
    END IF;

    IF cardinality(v_going) > 0 THEN
        v_deliveries := ARRAY(SELECT d FROM tasker_explain_deliveries(v_going) d);
    END IF;
    IF cardinality(v_claimable) > 0 THEN
        v_standing := ARRAY(SELECT k FROM tasker_explain_keys(v_keys, v_ruler.epoch) k);
        v_places := ARRAY(SELECT p FROM tasker_explain_places(v_claimable, v_keys, v_ruler.epoch,
            EXISTS (SELECT FROM unnest(v_standing) k WHERE k.free > 0), p_now) p);
    END IF;

    RETURN QUERY
    WITH steps AS (
        SELECT s.workflow_step_id, s.name::text AS name, s.state::text AS state, s.handler_class::text AS handler_class,
               s.handler_key, s.attempts - s.unstarted_attempts AS attempts,
               CASE WHEN s.retryable THEN s.retry_limit ELSE 1 END AS retry_limit, s.created_at, s.next_attempt_at,
               s.last_attempted_at, s.processed_at, s.backoff_request_seconds, s.timeout_ms, s.claim_first,
               s.remaining_parents,
               tasker_is_claimable(s.state, s.remaining_parents, s.ready_key, s.next_attempt_at, p_now) AS claimable,
               CASE WHEN s.state IN ('error', 'waiting_for_retry') THEN s.error ->> 'message' END AS message,
               (s.workflow_step_id - v_low)::int + 1 AS at
        FROM tasker_workflow_steps s
        WHERE s.task_id = p_task_id AND s.state NOT IN ('complete', 'resolved_manually')
        OFFSET 0
    ), parents AS MATERIALIZED (
        SELECT e.to_step_id, array_agg(e.from_step_id ORDER BY e.from_step_id) AS ids
        FROM unnest(v_to_ids, v_from_ids) e(to_step_id, from_step_id) GROUP BY e.to_step_id
    ), dead_letters AS MATERIALIZED (
        SELECT DISTINCT ON (d.workflow_step_id) d.workflow_step_id, d.dead_letter_id, d.reason
        FROM unnest(v_ended) f(id) CROSS JOIN LATERAL (
            SELECT x.workflow_step_id, x.dead_letter_id, x.reason FROM tasker_dead_letters x
            WHERE x.workflow_step_id = f.id AND x.resolved_at IS NULL OFFSET 0) d
        ORDER BY d.workflow_step_id, d.dead_letter_id DESC
    ), judged AS (
        SELECT s.*, d.batch_uuid, d.session, d.worker_id, d.worker_state, d.published_at, d.started_at, d.granted_at,
               d.times_out_at, k.serving, k.free, p.ahead, l.dead_letter_id,
               l.reason AS dead_letter_reason, w.ids AS waits_for,
               CASE WHEN s.state = 'error' THEN 'failed'
                    WHEN s.state = 'cancelled' THEN 'cancelled'
                    WHEN s.state = 'in_progress' THEN
                        CASE WHEN d.step_id IS NULL THEN 'inconsistent'
                             WHEN d.started_at IS NOT NULL THEN 'running'
                             WHEN d.session IS NULL THEN 'plain_worker'
                             WHEN d.batch_state <> 'executing' THEN 'published'
                             WHEN s.claim_first AND d.granted_at IS NULL THEN 'awaiting_start_grant'
                             ELSE 'accepted' END
                    WHEN s.remaining_parents > 0 THEN
                        CASE WHEN v_failed[s.at] THEN 'blocked_by_failed_step' ELSE 'waiting_for_parents' END
                    WHEN s.claimable THEN
                        CASE WHEN p.certain THEN 'ready'
                             WHEN NOT p.certain THEN 'namespace_turn'
                             WHEN k.plain THEN 'plain_worker'
                             WHEN coalesce(k.serving, 0) = 0 THEN 'no_session'
                             -- Free credit that does not reach it: more than one turn's work stands before it.
                             WHEN k.free >= 1000 THEN 'turn_full'
                             ELSE 'no_credit' END
                    WHEN s.next_attempt_at IS NULL THEN 'inconsistent'
                    WHEN s.state = 'waiting_for_retry' THEN 'backoff'
                    ELSE 'not_before' END AS cause
        FROM steps s
        LEFT JOIN unnest(v_deliveries) d ON d.step_id = s.workflow_step_id
        LEFT JOIN unnest(v_places) p ON p.step_id = s.workflow_step_id
        LEFT JOIN unnest(v_standing) k ON s.claimable AND k.handler_key = s.handler_key
        LEFT JOIN parents w ON w.to_step_id = s.workflow_step_id
        LEFT JOIN dead_letters l ON l.workflow_step_id = s.workflow_step_id
        OFFSET 0  -- the cause is worked out once, not wherever it is named
    ), explained AS MATERIALIZED (
        SELECT j.workflow_step_id, j.name, j.state, j.cause,
               CASE WHEN j.cause IN ('failed', 'cancelled') THEN j.processed_at
                    WHEN j.cause = 'running' THEN j.started_at
                    WHEN j.state = 'in_progress' THEN coalesce(j.published_at, j.last_attempted_at)
                    WHEN j.cause = 'backoff' THEN
                        j.next_attempt_at - make_interval(secs => coalesce(j.backoff_request_seconds, 0))
                    WHEN j.cause = 'not_before' THEN j.created_at
                    ELSE greatest(j.created_at, j.next_attempt_at, j.last_attempted_at) END AS since,
               CASE j.cause
                    WHEN 'waiting_for_parents' THEN 'parents_complete'
                    WHEN 'no_credit' THEN 'credit_returns'
                    WHEN 'running' THEN 'result'
                    WHEN 'awaiting_start_grant' THEN 'start_grant'
                    WHEN 'accepted' THEN 'start'
                    WHEN 'published' THEN 'acceptance'
                    WHEN 'plain_worker' THEN CASE j.state WHEN 'in_progress' THEN 'result' ELSE 'plain_batch_ends' END
                    WHEN 'ready' THEN 'next_turn'
                    WHEN 'namespace_turn' THEN 'next_turns'
                    WHEN 'turn_full' THEN 'next_turns'
                    WHEN 'backoff' THEN 'retry_due'
                    WHEN 'not_before' THEN 'not_before_passes'
                    WHEN 'no_session' THEN 'session_connects'
                    WHEN 'inconsistent' THEN 'operator_checks_database'
                    ELSE 'operator_decides' END AS next_event,
               CASE j.cause
                    WHEN 'running' THEN coalesce(j.times_out_at, j.started_at + make_interval(secs => j.timeout_ms / 1000.0))
                    WHEN 'plain_worker' THEN j.times_out_at
                    WHEN 'backoff' THEN j.next_attempt_at
                    WHEN 'not_before' THEN j.next_attempt_at END AS next_at,
               CASE WHEN j.remaining_parents > 0 AND j.state = 'pending' THEN v_roots[j.at] END AS blocking_step_id,
               j.waits_for, CASE WHEN j.claimable THEN j.ahead END AS ahead, j.attempts, j.retry_limit, j.handler_class,
               j.worker_id, j.session,
               CASE WHEN j.state = 'in_progress' THEN
                        jsonb_build_object('batch_uuid', j.batch_uuid, 'worker_state', j.worker_state)
                    WHEN j.state = 'error' THEN jsonb_build_object('message', j.message, 'dead_letter_id',
                        j.dead_letter_id, 'dead_letter_reason', j.dead_letter_reason)
                    WHEN j.message IS NOT NULL THEN jsonb_build_object('message', j.message) END AS detail
        FROM judged j
    ), causes AS (
        SELECT c.cause, c.count, array_position(tasker_explain_causes(), c.cause) AS place
        FROM (SELECT e.cause, count(*) FROM explained e GROUP BY e.cause) c
    ), first AS MATERIALIZED (
        SELECT e.* FROM explained e WHERE e.cause = (SELECT c.cause FROM causes c ORDER BY c.place LIMIT 1)
        ORDER BY e.next_at, e.workflow_step_id LIMIT 1
    ), task AS (
        SELECT v_task.state IN ('complete', 'error', 'cancelled', 'resolved_manually') AS ended,
               coalesce(v_ruler.down, true) AS down)
    SELECT NULL::bigint, NULL::text, v_task.state::text,
           CASE WHEN t.ended THEN v_task.state WHEN t.down THEN 'orchestrator_down' ELSE f.cause END::text,
           CASE WHEN t.ended THEN v_task.completed_at WHEN t.down THEN v_ruler.last_seen_at ELSE f.since END,
           CASE WHEN v_task.state = 'error' THEN 'operator_decides' WHEN t.ended THEN NULL
                WHEN t.down THEN 'orchestrator_starts' ELSE f.next_event END,
           CASE WHEN NOT t.ended AND NOT t.down THEN f.next_at END,
           CASE WHEN NOT t.ended THEN f.workflow_step_id END, NULL::bigint[], NULL::int, NULL::int, NULL::int,
           NULL::text, NULL::text, NULL::text,
           jsonb_build_object(
               'causes', coalesce((SELECT jsonb_object_agg(c.cause, c.count ORDER BY c.place) FROM causes c), '{}'),
               'orchestrator', CASE WHEN v_ruler.epoch IS NOT NULL THEN jsonb_build_object('instance', v_ruler.instance,
                   'state', v_ruler.state, 'epoch', v_ruler.epoch, 'last_seen_at', v_ruler.last_seen_at,
                   'down', v_ruler.down) END,
               'handlers', coalesce((SELECT jsonb_object_agg(k.detail ->> 'handler_class', k.detail)
                                     FROM unnest(v_standing) k), '{}'),
               'sessions', coalesce((SELECT jsonb_agg(to_jsonb(w) ORDER BY w.worker_id, w.session) FROM (
                   SELECT x.worker_id, x.session, x.state, x.handlers, x.namespaces, x.in_flight, x.credit_limit,
                          x.free_credit FROM tasker_workers x
                   WHERE x.epoch = v_ruler.epoch AND x.state NOT IN ('lost', 'gone')
                   ORDER BY x.worker_id, x.session LIMIT 20) w), '[]'))
    FROM task t LEFT JOIN first f ON true
    UNION ALL
    SELECT e.* FROM explained e
    ORDER BY 1 NULLS FIRST;
END $$;
