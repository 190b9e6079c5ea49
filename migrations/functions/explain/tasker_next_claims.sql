-- The claims of a lane's next turn: the ranking of tasker_turn_place, profile by profile, without locks, on the steps
-- of the lane's shards. (The two do not share it: the claim would need its candidates as an array, and so one more
-- statement, which is 2 to 5 % of a small turn. A test compares them on random states instead.)
-- Two things are uncertain: which namespace is first within a priority differs from turn to turn; and how much of a
-- session's free credit the lane gets depends on the other lanes, between its share and all of it. Fewer competitors
-- never worsen a step's worst place, so that what an earlier profile may or may not take is counted as still there
-- for the worst place, and as gone for the best.
-- Reads only, by index, raises nothing. Returns `ready` for what is claimed for certain, `turn_full` for what the
-- lane's share may not reach, `namespace_turn` for what other namespaces may keep out; other steps are not claimed.
-- Called by tasker_explain_places.
CREATE OR REPLACE FUNCTION tasker_next_claims(p_epoch bigint, p_lane int, p_lanes int,
    p_now timestamptz DEFAULT clock_timestamp()) RETURNS TABLE (workflow_step_id bigint, cause text)
LANGUAGE plpgsql STABLE SET jit = off SET enable_seqscan = off AS $$
#variable_conflict use_column
DECLARE
    c_slots_max CONSTANT int := 1000;  -- of one profile in one turn: kSlotsPerTurnMax
    c_due_max CONSTANT int := 1000;    -- joining the ready index in one turn
    v_profiles tasker_explain_profile[];
    v_profile tasker_explain_profile;
    v_due tasker_explain_due[];
    v_certain bigint[] := '{}'; v_possible bigint[] := '{}'; v_shared bigint[] := '{}';
    v_new bigint[]; v_maybe bigint[]; v_wide bigint[];
BEGIN
    -- Profiles come in the order of their keys.
    SELECT array_agg(ROW(p.keys, p.slots, p.share)::tasker_explain_profile ORDER BY p.keys) INTO v_profiles
    FROM (SELECT x.keys, least(sum(x.free), c_slots_max)::int AS slots, least(sum(x.share), c_slots_max)::int AS share
          FROM (SELECT a.free, a.share, ARRAY(SELECT k.handler_key FROM tasker_handler_keys k
                                              JOIN tasker_task_namespaces n ON n.task_namespace_id = k.namespace_id
                                              WHERE tasker_matches_any(a.handlers, k.handler_class)
                                                AND tasker_matches_any(a.namespaces, n.name)
                                              ORDER BY k.handler_key) AS keys
                FROM tasker_lane_credit(p_epoch, p_lane, p_lanes) a) x
          WHERE x.keys <> '{}' GROUP BY x.keys) p;
    IF v_profiles IS NULL THEN
        RETURN;
    END IF;
    SELECT coalesce(array_agg(ROW(d.workflow_step_id, d.handler_key, d.priority, d.namespace_id)::tasker_explain_due), '{}')
        INTO v_due
    FROM (SELECT s.workflow_step_id, s.handler_key, s.priority, s.namespace_id FROM tasker_workflow_steps s
          WHERE s.next_attempt_at <= p_now AND s.ready_key IS NULL AND s.remaining_parents = 0
            AND s.state IN ('pending', 'waiting_for_retry') AND s.shard % p_lanes = p_lane
          ORDER BY s.next_attempt_at, s.workflow_step_id LIMIT c_due_max) d;

    FOREACH v_profile IN ARRAY v_profiles LOOP
        WITH candidates AS MATERIALIZED (
            SELECT w.* FROM unnest((v_profile).keys) k(key) CROSS JOIN LATERAL (
                SELECT s.workflow_step_id, s.priority, s.namespace_id FROM tasker_workflow_steps s
                WHERE s.ready_key = k.key AND s.shard % p_lanes = p_lane
                ORDER BY -s.priority::int, s.workflow_step_id
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
        SELECT ARRAY(SELECT w.workflow_step_id FROM worst w WHERE w.place <= (v_profile).share),
               ARRAY(SELECT w.workflow_step_id FROM worst w WHERE w.place <= (v_profile).slots),
               ARRAY(SELECT b.workflow_step_id FROM best b WHERE b.place <= (v_profile).slots)
            INTO v_new, v_wide, v_maybe;
        v_certain := v_certain || v_new;
        v_shared := v_shared || v_wide;
        v_possible := ARRAY(SELECT x FROM unnest(v_possible || v_maybe) x EXCEPT SELECT unnest(v_certain));
    END LOOP;
    RETURN QUERY SELECT x, 'ready' FROM unnest(v_certain) x UNION ALL
        SELECT x, CASE WHEN x = ANY (v_shared) THEN 'turn_full' ELSE 'namespace_turn' END FROM unnest(v_possible) x;
END $$;
