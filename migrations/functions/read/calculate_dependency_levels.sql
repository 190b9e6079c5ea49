-- The level of each step of a task: roots are level 0, every other step stands one below its deepest parent.
-- Reads only, raises nothing. Called by people and other languages. Without jit: compiling takes longer than running.
-- UNION keeps one row per (step, level), so ladders of diamonds do not multiply; the bound keeps damaged edges (a
-- cycle) from running for ever. OFFSET 0 makes each round look its edges up by index: on tables never analysed the
-- planner would scan all of them, each time.
CREATE OR REPLACE FUNCTION calculate_dependency_levels(input_task_id bigint)
RETURNS TABLE (workflow_step_id bigint, dependency_level int)
LANGUAGE sql STABLE SET jit = off AS $$
    WITH RECURSIVE steps AS MATERIALIZED (
        SELECT s.workflow_step_id FROM tasker_workflow_steps s WHERE s.task_id = input_task_id
    ), levels AS (
        SELECT s.workflow_step_id, 0 AS level FROM steps s
        WHERE NOT EXISTS (SELECT 1 FROM tasker_workflow_step_edges e WHERE e.to_step_id = s.workflow_step_id)
        UNION
        SELECT e.to_step_id, l.level + 1 FROM levels l
        CROSS JOIN LATERAL (SELECT x.to_step_id FROM tasker_workflow_step_edges x
                            WHERE x.from_step_id = l.workflow_step_id OFFSET 0) e
        WHERE l.level < (SELECT count(*) FROM steps)
    )
    SELECT l.workflow_step_id, max(l.level) FROM levels l GROUP BY l.workflow_step_id ORDER BY 2, 1
$$;
