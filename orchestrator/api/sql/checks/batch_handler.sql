-- A batch's handler key and class belong together.
SELECT 'batch', b.batch_id, b.task_id,
       format('has handler key %s for %s, which does not exist so', b.handler_key, b.handler_class)
FROM tasker_step_execution_batches b
LEFT JOIN tasker_handler_keys k ON k.handler_key = b.handler_key AND k.handler_class = b.handler_class
WHERE k.handler_key IS NULL
