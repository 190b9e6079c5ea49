-- A step is marked ready exactly while it may be claimed and waits.
SELECT 'step', s.workflow_step_id, s.task_id,
       format('%s is %s in a task that is %s, ready_key %s, next_attempt_at %s: %s', s.name, s.state, t.state,
              coalesce(s.ready_key::text, 'empty'), coalesce(s.next_attempt_at::text, 'empty'),
              CASE WHEN s.ready_key IS NULL THEN 'it may be claimed but nothing will ever find it'
                   WHEN s.ready_key <> s.handler_key
                   THEN format('the ready_key must be its handler_key %s', s.handler_key)
                   ELSE 'it must not be ready' END)
FROM tasker_workflow_steps s JOIN tasker_tasks t ON t.task_id = s.task_id
WHERE (s.ready_key IS NULL AND s.next_attempt_at IS NULL AND s.remaining_parents = 0
       AND s.state IN ('pending', 'waiting_for_retry') AND t.state IN ('pending', 'in_progress'))
   OR (s.ready_key IS NOT NULL
       AND (s.ready_key <> s.handler_key OR s.remaining_parents > 0
            OR s.state NOT IN ('pending', 'waiting_for_retry') OR t.state NOT IN ('pending', 'in_progress')
            OR s.next_attempt_at > clock_timestamp() + interval '1 second'))
