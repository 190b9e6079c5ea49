-- No transition is older than the one before it. Judged by the database's clock, so a clock that was set back may raise
-- it; a second is allowed for lock waits.
SELECT h.object, h.id, h.task_id,
       format('transition %s is of %s, the one before it of %s', h.sort_key, h.at, h.before)
FROM (SELECT 'task' AS object, x.task_id AS id, x.task_id, x.sort_key, x.created_at AS at,
             lag(x.created_at) OVER (PARTITION BY x.task_id ORDER BY x.sort_key) AS before
      FROM tasker_task_transitions x
      UNION ALL
      SELECT 'step', x.workflow_step_id, x.task_id, x.sort_key, x.created_at,
             lag(x.created_at) OVER (PARTITION BY x.workflow_step_id ORDER BY x.sort_key)
      FROM tasker_workflow_step_transitions x
      UNION ALL
      SELECT 'batch', x.batch_id, NULL, x.sort_key, x.created_at,
             lag(x.created_at) OVER (PARTITION BY x.batch_id ORDER BY x.sort_key)
      FROM tasker_step_execution_batch_transitions x) h
WHERE h.at < h.before - interval '1 second'
