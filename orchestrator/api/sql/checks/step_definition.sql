-- Every step has its named step and its handler key.
SELECT 'step', s.workflow_step_id, s.task_id,
       format('has named step %s and handler key %s for %s in namespace %s, which do not exist so',
              s.named_step_id, s.handler_key, s.handler_class, s.namespace_id)
FROM tasker_workflow_steps s
LEFT JOIN tasker_named_steps ns ON ns.named_step_id = s.named_step_id
LEFT JOIN tasker_handler_keys k ON k.handler_key = s.handler_key AND k.namespace_id = s.namespace_id
                               AND k.handler_class = s.handler_class
WHERE ns.named_step_id IS NULL OR k.handler_key IS NULL
