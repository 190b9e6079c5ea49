-- The partitions there are, oldest first. `low` is null for the first one (from the beginning), `high` for the open
-- one.
-- Reads the catalogue only, raises nothing. Called by `tasker db retention` and the functions of this folder.
CREATE OR REPLACE FUNCTION tasker_partitions(p_axis text)
RETURNS TABLE (place int, table_name text, partition_name text, low bigint, high bigint)
LANGUAGE sql STABLE AS $$
    SELECT t.place, t.table_name, c.relname::text, substring(b.bound FROM 'FROM \(''(\d+)''\)')::bigint,
           substring(b.bound FROM 'TO \(''(\d+)''\)')::bigint
    FROM tasker_partitioned_tables() t
    JOIN pg_inherits i ON i.inhparent = t.table_name::regclass
    JOIN pg_class c ON c.oid = i.inhrelid
    CROSS JOIN LATERAL (SELECT pg_get_expr(c.relpartbound, c.oid) AS bound) b
    WHERE t.axis = p_axis
    ORDER BY 4 NULLS FIRST, 1
$$;
