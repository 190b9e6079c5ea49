-- The layer in force: its checksum, program and time (null without one), how many objects it has, and how many of them somebody
-- has dropped or altered by hand.
SELECT l.checksum, l.program, to_char(l.applied_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS applied_at,
       (SELECT count(*)::int FROM tasker_schema_objects) AS objects,
       (SELECT count(*)::int FROM tasker_schema_objects o
        WHERE CASE WHEN o.body IS NOT NULL THEN NOT EXISTS (
                       SELECT FROM pg_proc p
                       WHERE p.proname = o.name AND p.pronamespace = to_regnamespace(quote_ident(current_schema()))
                         AND pg_get_function_identity_arguments(p.oid) = o.arguments
                         AND md5(p.prosrc || coalesce(p.proconfig::text, '')) = o.body)
                   WHEN o.kind = 'view' THEN to_regclass(quote_ident(o.name)) IS NULL
                   WHEN o.kind = 'type' THEN to_regtype(quote_ident(o.name)) IS NULL END) AS objects_differ
FROM (SELECT 1) one LEFT JOIN tasker_schema_layer l ON true
