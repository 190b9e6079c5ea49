-- A task has exactly the steps and edges of its template revision.
SELECT 'task', t.task_id, t.task_id,
       format('has %s steps and %s edges, its template revision has %s and %s', coalesce(s.steps, 0),
              coalesce(e.edges, 0), d.steps, d.edges)
FROM tasker_tasks t
JOIN tasker_task_templates tt ON tt.named_task_id = t.named_task_id AND tt.revision = t.template_revision
JOIN (SELECT task_template_id, count(*) AS steps, sum(cardinality(parent_positions)) AS edges
      FROM tasker_task_template_steps GROUP BY task_template_id) d
    ON d.task_template_id = tt.task_template_id
LEFT JOIN (SELECT task_id, count(*) AS steps FROM tasker_workflow_steps GROUP BY task_id) s
    ON s.task_id = t.task_id
LEFT JOIN (SELECT task_id, count(*) AS edges FROM tasker_workflow_step_edges GROUP BY task_id) e
    ON e.task_id = t.task_id
WHERE coalesce(s.steps, 0) <> d.steps OR coalesce(e.edges, 0) <> d.edges
