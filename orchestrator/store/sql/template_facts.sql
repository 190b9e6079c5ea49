-- What messages and retries need of a template revision, one row per step; the defaults are those of the templates.
SELECT n.name AS namespace, nt.name, nt.version, s.value->>'name' AS step,
       coalesce(s.value->'handler_config', '{}')::text AS config,
       coalesce((s.value->'retry_backoff'->>'base_seconds')::float8, 1) AS base,
       coalesce((s.value->'retry_backoff'->>'multiplier')::float8, 2) AS multiplier,
       coalesce((s.value->'retry_backoff'->>'max_seconds')::float8, 300) AS max,
       coalesce((s.value->'retry_backoff'->>'jitter')::float8, 0.1) AS jitter,
       coalesce((s.value->>'max_retry_after_seconds')::float8, 86400) AS max_retry_after,
       coalesce((s.value->>'max_snoozes')::int, 1000) AS max_snoozes,
       coalesce(s.value->>'on_orphan' = 'dead_letter', false) AS waits_for_lease
FROM tasker_task_templates tt
JOIN tasker_named_tasks nt ON nt.named_task_id = tt.named_task_id
JOIN tasker_task_namespaces n ON n.task_namespace_id = nt.task_namespace_id
CROSS JOIN LATERAL jsonb_array_elements(tt.configuration->'step_templates') s
WHERE tt.named_task_id = $1 AND tt.revision = $2
