-- Every task transition belongs to a task.
SELECT 'task transition', h.task_id, h.task_id,
       format('transition %s belongs to task %s, which does not exist', h.sort_key, h.task_id)
FROM tasker_task_transitions h LEFT JOIN tasker_tasks t ON t.task_id = h.task_id WHERE t.task_id IS NULL
