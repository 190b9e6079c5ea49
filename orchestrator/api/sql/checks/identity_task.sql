-- Every identity names a task that exists (I1).
SELECT 'identity', i.task_id, i.task_id,
       format('identity %s in %s names task %s, which does not exist', left(i.identity_hash, 12), i.scope, i.task_id)
FROM tasker_task_identities i LEFT JOIN tasker_tasks t ON t.task_id = i.task_id WHERE t.task_id IS NULL
