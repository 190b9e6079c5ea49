-- Live sessions that an operator wants drained. Without a deadline the worker's own limit decides: a day is longer than any.
SELECT w.session, coalesce(w.drain_deadline_ms, 86400000)
FROM tasker_workers w
WHERE w.drain_requested_at IS NOT NULL AND w.state IN ('greeted', 'ready', 'suspect')
