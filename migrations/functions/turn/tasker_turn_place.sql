-- Places what is ready on the free slots of one profile: ranks it (priority, then namespaces in turn, then age) and
-- puts it on the slots in the order the listener gave them. A step that is claimed at once never enters the ready
-- index.
-- Of the waiting steps only those that win are locked: next to children that come first, that may be none of
-- hundreds. One statement, since a further one costs 30 to 80 µs before its first row. tasker_next_claims ranks the
-- same way; a test compares.
-- Locks: the waiting steps that win, skipping those somebody holds. p_taken: steps that an earlier profile claims.
-- Returns the claims with the tasks that start and the bytes of their requests, the children that are left, and the
-- handler keys of which more may wait. Raises nothing. Called by tasker_turn_claims; tasker_turn's comment explains k_* and s_*.
CREATE OR REPLACE FUNCTION tasker_turn_place(p_profile int, p_turn bigint, p_lane smallint, p_lanes smallint,
    p_scan_all boolean, p_child tasker_turn_candidate[], p_taken bigint[],
    k_profile int[], k_key int[], k_scan boolean[], k_falling int[], k_step_id bigint[], k_one_namespace boolean[],
    s_profile int[], s_session_no int[], s_after int[], s_upto int[], p_request_bytes bigint)
RETURNS tasker_turn_claimed
LANGUAGE plpgsql AS $$
DECLARE v_placed tasker_turn_claimed;
BEGIN
    WITH slots AS MATERIALIZED (
        SELECT s.* FROM unnest(s_profile, s_session_no, s_after, s_upto) AS s(profile, session_no, after, upto)
        WHERE s.profile = p_profile
    ), keys AS MATERIALIZED (
        SELECT k.key, k.scan OR p_scan_all AS scan,
               CASE WHEN p_scan_all THEN -2147483648 ELSE k.falling END AS falling, k.step_id, k.one_namespace
        FROM unnest(k_profile, k_key, k_scan, k_falling, k_step_id, k_one_namespace)
            AS k(profile, key, scan, falling, step_id, one_namespace)
        WHERE k.profile = p_profile
    ), children AS MATERIALIZED (
        SELECT c.step_id, c.handler_key, c.namespace_id, c.priority, c.parents_done, c AS child,
               c.is_ready AND c.handler_key IN (SELECT k.key FROM keys k) AS is_eligible
        FROM unnest(p_child) c
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
              AND s.shard % p_lanes = p_lane AND NOT (s.workflow_step_id = ANY (p_taken))
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
            FROM (SELECT s.workflow_step_id, s.task_id, s.state, s.attempts, s.transition_count, s.timeout_ms, s.priority,
                         s.input_bytes, s.sent_alone
                  FROM tasker_workflow_steps s
                  WHERE s.ready_key = k.key AND ROW(-s.priority::int, s.workflow_step_id) >= ROW(k.falling, k.step_id)
                    AND s.shard % p_lanes = p_lane AND NOT (s.workflow_step_id = ANY (p_taken))
                  ORDER BY -s.priority::int, s.workflow_step_id
                  LIMIT cardinality(w.places) FOR UPDATE SKIP LOCKED) l) h
    ), claims AS (
        SELECT (p.child).step_id, (p.child).task_id, p.handler_key, p.session_no, (p.child).state,
               (p.child).attempts + 1 AS attempt, (p.child).transition_count + 1, p.place, (p.child).timeout_ms,
               (p.child).parents_done, (p.child).priority, (p.child).input_bytes, false
        FROM placed p WHERE p.is_child AND p.session_no IS NOT NULL
        UNION ALL
        SELECT h.workflow_step_id, h.task_id, h.key, h.session_no, h.state, h.attempts + 1, h.transition_count + 1,
               h.place, h.timeout_ms, 0, h.priority, h.input_bytes, h.sent_alone
        FROM held h
    )
    SELECT c.claims, c.starting, c.low_task, c.bytes, p.children, p.more
        INTO v_placed.claims, v_placed.starting, v_placed.low_task, v_placed.bytes, v_placed.children, v_placed.more
    FROM (SELECT coalesce(array_agg(ROW(c.*)::tasker_turn_assignment), '{}') AS claims, min(c.task_id) AS low_task,
                 coalesce(sum(c.input_bytes) FILTER (WHERE c.input_bytes <= p_request_bytes), 0) AS bytes,
                 coalesce(array_agg(c.task_id) FILTER (WHERE c.parents_done = 0 AND c.attempt = 1), '{}') AS starting
          FROM claims c) c
    CROSS JOIN (
          SELECT coalesce(array_agg(p.child) FILTER (WHERE p.is_child AND p.session_no IS NULL), '{}') AS children,
                 coalesce(array_agg(DISTINCT p.handler_key)
                     FILTER (WHERE p.is_eligible AND p.place >= (SELECT max(l.upto) FROM slots l)), '{}') AS more
          FROM placed p) p;
    RETURN v_placed;
END $$;
