-- Takes back the last of a profile's claims, so that the requests of the others are no more than p_left bytes together;
-- one is left in any case. What is too large for a request is not built, and so counts nothing.
-- Locks nothing (waiting steps that are taken back stay locked until the turn ends). p_child: the children as they were
-- before these claims. Returns what is left of the claims, with is_full when some were taken back; `more` are then their
-- handler keys and those of later profiles (k_*). Raises nothing.
-- Called by tasker_turn_claims for the few turns with that much.
CREATE OR REPLACE FUNCTION tasker_turn_cut(p_placed tasker_turn_claimed, p_child tasker_turn_candidate[],
    p_request_bytes bigint, p_left bigint, p_profile int, k_profile int[], k_key int[]) RETURNS tasker_turn_claimed
LANGUAGE plpgsql AS $$
DECLARE v_placed tasker_turn_claimed := p_placed; v_first bigint; v_dropped bigint[];
BEGIN
    SELECT min(c.place) INTO v_first
    FROM (SELECT b.*, sum(b.bytes) OVER (ORDER BY b.place) AS upto
          FROM (SELECT a.place, CASE WHEN a.input_bytes <= p_request_bytes THEN a.input_bytes ELSE 0 END AS bytes
                FROM unnest(p_placed.claims) a) b) c
    WHERE c.upto > p_left AND c.upto > c.bytes;
    IF v_first IS NULL THEN
        RETURN v_placed;
    END IF;
    SELECT coalesce(array_agg(a) FILTER (WHERE a.place < v_first), '{}'),
           coalesce(array_agg(a.task_id) FILTER (WHERE a.place < v_first AND a.parents_done = 0 AND a.attempt = 1),
                    '{}'),
           coalesce(sum(a.input_bytes) FILTER (WHERE a.place < v_first AND a.input_bytes <= p_request_bytes), 0),
           v_placed.more || coalesce(array_agg(DISTINCT a.handler_key)
                                     FILTER (WHERE a.place >= v_first AND a.parents_done = 0), '{}'),
           array_agg(a.step_id) FILTER (WHERE a.place >= v_first AND a.parents_done > 0)
        INTO v_placed.claims, v_placed.starting, v_placed.bytes, v_placed.more, v_dropped
    FROM unnest(p_placed.claims) a;
    v_placed.children := v_placed.children
        || ARRAY(SELECT c FROM unnest(p_child) c WHERE c.step_id = ANY (v_dropped));
    v_placed.more := v_placed.more
        || ARRAY(SELECT k.key FROM unnest(k_profile, k_key) AS k(profile, key) WHERE k.profile > p_profile);
    v_placed.is_full := true;
    RETURN v_placed;
END $$;
