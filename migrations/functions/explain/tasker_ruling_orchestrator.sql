-- The orchestrator that rules, if there ever was one. `down`: stopped, or not seen for 5 seconds.
-- `lanes`: how many it has; a step belongs to lane shard % lanes.
-- Reads only, raises nothing. Called by tasker_explain_task.
CREATE OR REPLACE FUNCTION tasker_ruling_orchestrator(p_now timestamptz DEFAULT clock_timestamp())
RETURNS TABLE (instance text, epoch bigint, state text, last_seen_at timestamptz, down boolean,
    lanes int)
LANGUAGE sql STABLE AS $$
    SELECT o.instance::text, o.epoch, o.state::text, o.last_seen_at,
           o.state = 'stopped' OR o.last_seen_at < p_now - interval '5 s',
           (SELECT count(*)::int FROM tasker_orchestrators l WHERE l.epoch = o.epoch)
    FROM tasker_orchestrators o ORDER BY o.epoch DESC, o.last_seen_at DESC LIMIT 1
$$;
