-- The open partitions of an axis end at p_bound from now on, and new open ones follow. All tables at once or none.
-- Locks: the parents, ACCESS EXCLUSIVE, in the order in which turns use them. Instant when the open partitions are
-- empty or carry a validated constraint tasker_open_until_<p_bound>; otherwise they are scanned under the lock.
-- Returns nothing. Raises 23514 when a row lies beyond p_bound. Called by tasker_split_partitions.
CREATE OR REPLACE FUNCTION tasker_bound_open_partitions(p_axis text, p_bound bigint) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE p record;
BEGIN
    FOR p IN SELECT t.table_name FROM tasker_partitioned_tables() t WHERE t.axis = p_axis ORDER BY t.place LOOP
        EXECUTE format('LOCK TABLE ONLY %I IN ACCESS EXCLUSIVE MODE', p.table_name);
    END LOOP;
    FOR p IN SELECT x.* FROM tasker_partitions(p_axis) x WHERE x.high IS NULL LOOP
        EXECUTE format('ALTER TABLE %I DETACH PARTITION %I', p.table_name, p.partition_name);
        EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%s) TO (%s)', p.table_name,
            p.partition_name, coalesce(p.low::text, 'MINVALUE'), p_bound);
        EXECUTE format('ALTER TABLE %I DROP CONSTRAINT IF EXISTS %I', p.partition_name,
            'tasker_open_until_' || p_bound);
        PERFORM tasker_create_partition(p.table_name, p_bound, NULL);
    END LOOP;
END $$;
