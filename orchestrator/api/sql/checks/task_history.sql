-- A task's history is gapless and ends in its state.
SELECT 'task', t.task_id, t.task_id,
       format('transition_count %s and state %s, but its history has %s entries up to %s, ending in %s',
              t.transition_count, t.state, coalesce(h.entries, 0), coalesce(h.last, 0),
              coalesce(l.to_state, 'nothing'))
FROM tasker_tasks t
LEFT JOIN (SELECT task_id, count(*) AS entries, min(sort_key) AS first, max(sort_key) AS last
           FROM tasker_task_transitions GROUP BY task_id) h ON h.task_id = t.task_id
LEFT JOIN tasker_task_transitions l ON l.task_id = t.task_id AND l.sort_key = h.last
WHERE h.task_id IS NULL OR h.first <> 1 OR h.entries <> h.last OR h.last <> t.transition_count
   OR l.to_state <> t.state
