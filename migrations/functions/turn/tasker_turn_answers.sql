-- The section `answers` of a turn: what the listener needs to know beyond tasks and claims. Most turns have nothing.
-- Reads no table. Returns rows of the kinds `report`, `more`, `orphan` and `grant`. Raises nothing.
-- Called by tasker_turn, whose comment explains the kinds.
CREATE OR REPLACE FUNCTION tasker_turn_answers(p_final tasker_turn_verdict[], p_more int[], p_locked int[],
    p_child tasker_turn_candidate[], p_moved tasker_turn_move[], p_grant tasker_turn_grant[])
RETURNS SETOF tasker_turn_row
LANGUAGE plpgsql AS $$
BEGIN
    RETURN QUERY
    SELECT x.kind, x.ord, x.info, x.name, x.task_id, x.step_id, x.attempt, NULL::int, NULL::int, NULL::bigint, x.handler_key,
           NULL::boolean, NULL::bigint, NULL, NULL::bigint, NULL::int, NULL::int, NULL::int, NULL::int, NULL, NULL, NULL
    FROM (SELECT 'report' AS kind, f.ord, f.disposition AS info, f.new_state AS name, f.task_id, f.step_id, f.attempt,
                 NULL::int AS handler_key
          FROM unnest(p_final) f WHERE f.new_state IS DISTINCT FROM 'complete'
          UNION ALL
          SELECT DISTINCT 'more', NULL::int, NULL, NULL, NULL::bigint, NULL::bigint, NULL::int, k.key
          FROM unnest(p_more) k(key)
          UNION ALL
          SELECT 'more', NULL, 'locked', NULL, NULL, NULL, NULL, k.key FROM unnest(p_locked) k(key)
          UNION ALL
          SELECT 'more', max(c.priority), NULL, NULL, NULL, min(c.step_id), NULL, c.handler_key
          FROM unnest(p_child) c WHERE c.is_ready GROUP BY c.handler_key
          UNION ALL
          SELECT 'orphan', m.ord, m.new_state, m.reason, m.task_id, m.step_id, m.attempt, m.handler_key
          FROM unnest(p_moved) m WHERE m.ord IS NOT NULL
          UNION ALL
          SELECT 'grant', g.ord, g.refusal, NULL, NULL, NULL, NULL, NULL FROM unnest(p_grant) g) x;
END $$;
