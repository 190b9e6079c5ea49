-- One more partition, with all it needs. From p_low (null: the beginning) up to p_high (null: without end).
-- Locks: the parent, ACCESS EXCLUSIVE. Raises 42P17 when the bounds overlap others.
-- Called by tasker_bound_open_partitions.
CREATE OR REPLACE FUNCTION tasker_create_partition(p_table text, p_low bigint, p_high bigint) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('CREATE TABLE %I PARTITION OF %I FOR VALUES FROM (%s) TO (%s) WITH (%s)',
        p_table || '_p' || coalesce(p_low, 0), p_table, coalesce(p_low::text, 'MINVALUE'),
        coalesce(p_high::text, 'MAXVALUE'),
        (SELECT t.options FROM tasker_partitioned_tables() t WHERE t.table_name = p_table));
END $$;
