-- The free credit of the ready sessions of an epoch as a lane sees it, summed over sessions that announce the same.
-- `free`: all of it, which the lane gets when no other contends. `share`: what it gets when all lanes contend: free
-- credit goes to whoever has least of a session first, as LaneShares in orchestrator/core/sessions/shares.hpp.
-- Reads only; with one lane only tasker_workers, else also the deliveries that are out. Raises nothing.
-- Called by tasker_next_claims.
CREATE OR REPLACE FUNCTION tasker_lane_credit(p_epoch bigint, p_lane int, p_lanes int)
RETURNS TABLE (handlers jsonb, namespaces jsonb, free bigint, share bigint)
LANGUAGE sql STABLE
SET jit = off SET enable_seqscan = off SET enable_nestloop = on SET enable_hashjoin = off SET enable_mergejoin = off AS $$
    WITH sessions AS MATERIALIZED (
        SELECT w.session, w.handlers, w.namespaces, w.free_credit FROM tasker_workers w
        WHERE w.epoch = p_epoch AND w.state = 'ready' AND w.free_credit > 0
    ), used AS (
        SELECT b.session, s.shard % p_lanes AS lane, count(*) AS used
        FROM tasker_step_execution_batches b
        JOIN tasker_step_execution_batch_steps bs ON bs.batch_id = b.batch_id
        JOIN tasker_workflow_steps s ON s.workflow_step_id = bs.workflow_step_id
        WHERE p_lanes > 1 AND tasker_is_open_batch(b.state) AND b.session IN (SELECT x.session FROM sessions x)
          AND bs.reported_at IS NULL AND bs.final_status IS NULL
        GROUP BY 1, 2
    ), lanes AS (
        SELECT x.session, l.lane, coalesce(u.used, 0) AS used, x.free_credit,
               row_number() OVER filling AS wet, sum(coalesce(u.used, 0)) OVER filling AS under
        FROM sessions x CROSS JOIN generate_series(0, p_lanes - 1) l(lane)
        LEFT JOIN used u ON u.session = x.session AND u.lane = l.lane
        WINDOW filling AS (PARTITION BY x.session ORDER BY coalesce(u.used, 0) ROWS UNBOUNDED PRECEDING)
    ), levels AS (
        -- The level up to which the credit fills the lanes that have least.
        SELECT l.session, floor(min((l.free_credit + l.under) / l.wet)) - sum(l.used) FILTER (WHERE l.lane = p_lane)
                   AS share
        FROM lanes l GROUP BY l.session
    )
    SELECT x.handlers, x.namespaces, sum(x.free_credit), sum(greatest(0, l.share))::bigint
    FROM sessions x JOIN levels l ON l.session = x.session
    GROUP BY x.handlers, x.namespaces
$$;
