-- The newest revisions of named tasks; places that have none are left out.
SELECT r.ord, f.task_template_id
FROM jsonb_to_recordset($1::jsonb) AS r(ord int, namespace text, name text, version text)
CROSS JOIN LATERAL tasker_find_template(r.namespace, r.name, r.version) f
