-- A task's state is the verdict on its steps. An operator may resolve a task whatever its steps are, and cancel one
-- whose steps then no longer move.
SELECT 'task', t.task_id, t.task_id,
       CASE WHEN t.state IN ('pending', 'in_progress') AND s.movable = 0
            THEN format('is %s, but nothing can move (%s steps open): it would wait for ever', t.state, s.open)
            WHEN t.state = 'pending' THEN 'is pending, but a step of it was started'
            WHEN t.state = 'complete' THEN format('is complete with %s open steps', s.open)
            WHEN t.state = 'error' AND s.movable > 0 THEN format('is error while %s steps can move', s.movable)
            WHEN t.state = 'error' THEN 'is error, but no step of it is'
            ELSE format('is %s, but its steps (%s open, %s can move) make it %s', t.state, s.open, s.movable, s.verdict)
       END
FROM tasker_tasks t
JOIN (SELECT c.*, tasker_task_verdict('pending', c.open, c.movable, c.started > 0, c.failed > 0) AS verdict
      FROM (SELECT task_id,
                   count(*) FILTER (WHERE state NOT IN ('complete', 'resolved_manually'))::int AS open,
                   count(*) FILTER (WHERE state IN ('in_progress', 'waiting_for_retry')
                                    OR (state = 'pending' AND remaining_parents = 0))::int AS movable,
                   count(*) FILTER (WHERE state = 'error') AS failed,
                   count(*) FILTER (WHERE attempts > 0) AS started
            FROM tasker_workflow_steps GROUP BY task_id) c) s ON s.task_id = t.task_id
WHERE t.state <> s.verdict AND t.state <> 'resolved_manually' AND NOT (t.state = 'cancelled' AND s.movable = 0)
