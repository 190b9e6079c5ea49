-- A batch that has ended is reconciled within its grace. Only time in which an orchestrator served counts: while none
-- runs, nobody can reconcile.
SELECT 'batch', b.batch_id, b.task_id,
       format('is %s since %s and not reconciled, although an orchestrator served until %s (grace %s s)', b.state,
              b.updated_at, o.last_seen_at, settings.grace_seconds)
FROM tasker_step_execution_batches b
CROSS JOIN settings
CROSS JOIN (SELECT max(last_seen_at) AS last_seen_at, max(started_at) AS started_at
            FROM tasker_orchestrators) o
WHERE b.reconciliation_status = 'pending' AND NOT tasker_is_open_batch(b.state)
  AND o.last_seen_at - greatest(b.updated_at, o.started_at) > make_interval(secs => settings.grace_seconds)
