-- The graph of each task. Ask for one task (WHERE task_id = …): depths are computed task by task.
-- Read by people and other languages.
CREATE OR REPLACE VIEW tasker_step_dag_relationships AS
    SELECT s.workflow_step_id, t.task_id, s.named_step_id, s.name,
           to_jsonb(p.ids) AS parent_step_ids, to_jsonb(c.ids) AS child_step_ids,
           cardinality(p.ids) AS parent_count, cardinality(c.ids) AS child_count,
           cardinality(p.ids) = 0 AS is_root_step, cardinality(c.ids) = 0 AS is_leaf_step,
           d.depth AS min_depth_from_root
    FROM tasker_tasks t
    CROSS JOIN LATERAL (
        WITH RECURSIVE steps AS MATERIALIZED (
            SELECT ts.workflow_step_id FROM tasker_workflow_steps ts WHERE ts.task_id = t.task_id
        ), depths AS (
            SELECT steps.workflow_step_id, 0 AS depth FROM steps
            WHERE NOT EXISTS (SELECT 1 FROM tasker_workflow_step_edges e
                              WHERE e.to_step_id = steps.workflow_step_id)
            UNION
            SELECT e.to_step_id, depths.depth + 1 FROM depths
            CROSS JOIN LATERAL (SELECT x.to_step_id FROM tasker_workflow_step_edges x
                                WHERE x.from_step_id = depths.workflow_step_id OFFSET 0) e
            WHERE depths.depth < (SELECT count(*) FROM steps)
        )
        SELECT depths.workflow_step_id, min(depths.depth) AS depth FROM depths GROUP BY depths.workflow_step_id) d
    JOIN tasker_workflow_steps s ON s.workflow_step_id = d.workflow_step_id
    CROSS JOIN LATERAL (SELECT ARRAY(SELECT e.from_step_id FROM tasker_workflow_step_edges e
                                     WHERE e.to_step_id = s.workflow_step_id ORDER BY 1) AS ids) p
    CROSS JOIN LATERAL (SELECT ARRAY(SELECT e.to_step_id FROM tasker_workflow_step_edges e
                                     WHERE e.from_step_id = s.workflow_step_id ORDER BY 1) AS ids) c;
