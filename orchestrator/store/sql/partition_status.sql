-- The ranges of an axis, oldest first, each with its size, the estimated rows of its first table, and when its first task
-- or batch was made.
SELECT p.low, p.high, p.rows, p.bytes,
       to_char(CASE $1
                   WHEN 'task_id' THEN (SELECT t.created_at FROM tasker_tasks t
                                        WHERE t.task_id >= p.at_least AND t.task_id < p.below ORDER BY t.task_id LIMIT 1)
                   ELSE (SELECT b.created_at FROM tasker_step_execution_batches b
                         WHERE b.batch_id >= p.at_least AND b.batch_id < p.below ORDER BY b.batch_id LIMIT 1)
               END AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS oldest_at
FROM (SELECT x.low, x.high, coalesce(x.low, 0) AS at_least, coalesce(x.high, 9223372036854775807) AS below,
             max(pg_stat_get_live_tuples(quote_ident(x.partition_name)::regclass)) FILTER (WHERE x.place = 1) AS rows,
             sum(pg_total_relation_size(quote_ident(x.partition_name)::regclass))::bigint AS bytes
      FROM tasker_partitions($1) x GROUP BY x.low, x.high) p
ORDER BY p.low NULLS FIRST
