-- Every task has its namespace, named task and template revision.
SELECT 'task', t.task_id, t.task_id,
       format('refers to named task %s revision %s in namespace %s, which does not exist',
              t.named_task_id, t.template_revision, t.namespace_id)
FROM tasker_tasks t
LEFT JOIN tasker_named_tasks nt ON nt.named_task_id = t.named_task_id
                               AND nt.task_namespace_id = t.namespace_id
LEFT JOIN tasker_task_templates tt ON tt.named_task_id = t.named_task_id
                                  AND tt.revision = t.template_revision
WHERE nt.named_task_id IS NULL OR tt.task_template_id IS NULL
