-- In how many milliseconds the next retry or held start of this lane's shards ($2 of $1) is due; null without any.
-- What is never due (infinity) is left out: a difference to it cannot be told.
SELECT ceil(extract(epoch FROM min(s.next_attempt_at) - clock_timestamp()) * 1000)::bigint AS due
FROM tasker_workflow_steps s
WHERE s.next_attempt_at < 'infinity' AND s.ready_key IS NULL AND s.remaining_parents = 0
  AND s.state IN ('pending', 'waiting_for_retry') AND s.shard % $1::int = $2::int
