-- Every step transition is legal and follows the one before.
SELECT 'step', h.workflow_step_id, h.task_id,
       format('transition %s is %s -> %s (%s) after %s, which is not legal', h.sort_key,
              coalesce(h.from_state, 'nothing'), h.to_state, h.event, coalesce(h.before, 'nothing'))
FROM (SELECT x.*, lag(x.to_state) OVER (PARTITION BY x.workflow_step_id ORDER BY x.sort_key) AS before
      FROM tasker_workflow_step_transitions x) h
WHERE h.from_state IS DISTINCT FROM h.before
   OR NOT tasker_is_legal_step_transition(h.from_state, h.to_state, h.event)
