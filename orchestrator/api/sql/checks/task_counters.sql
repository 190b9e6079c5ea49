-- Open_steps and movable_steps agree with the steps.
SELECT 'task', t.task_id, t.task_id,
       format('open_steps %s and movable_steps %s, its steps say %s and %s', t.open_steps, t.movable_steps,
              coalesce(s.open, 0), coalesce(s.movable, 0))
FROM tasker_tasks t
LEFT JOIN (SELECT task_id,
                  count(*) FILTER (WHERE state NOT IN ('complete', 'resolved_manually')) AS open,
                  count(*) FILTER (WHERE state IN ('in_progress', 'waiting_for_retry')
                                   OR (state = 'pending' AND remaining_parents = 0)) AS movable
           FROM tasker_workflow_steps GROUP BY task_id) s ON s.task_id = t.task_id
WHERE t.open_steps <> coalesce(s.open, 0) OR t.movable_steps <> coalesce(s.movable, 0)
