-- Every step belongs to a task of the same namespace and shard.
SELECT 'step', s.workflow_step_id, s.task_id,
       CASE WHEN t.task_id IS NULL THEN format('belongs to task %s, which does not exist', s.task_id)
            ELSE format('has namespace %s and shard %s, its task %s has %s and %s', s.namespace_id, s.shard,
                        t.task_id, t.namespace_id, t.shard) END
FROM tasker_workflow_steps s LEFT JOIN tasker_tasks t ON t.task_id = s.task_id
WHERE t.task_id IS NULL OR t.namespace_id <> s.namespace_id OR t.shard <> s.shard
