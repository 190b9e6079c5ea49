-- How far tasks are: what a waiting caller needs.
SELECT t.task_id, t.state, s.total, s.total - t.open_steps AS completed
FROM tasker_tasks t
CROSS JOIN LATERAL (SELECT count(*)::int AS total FROM tasker_workflow_steps w WHERE w.task_id = t.task_id) s
WHERE t.task_id = ANY ($1::bigint[]) ORDER BY t.task_id
