-- Drops a range except p_staying, which is what tasker_staying_ids() returned just now. The rows that stay move to a
-- partition of their own size.
-- Locks: what stays and every task in error (which an operator could retry), by ascending id, until the commit, so
-- nobody changes what is being copied or brings back what is being dropped; the parents, ACCESS EXCLUSIVE, in the
-- order in which turns use them, for the last instant only.
-- Returns how many tasks or batches went and stayed. Raises TK002 when something has changed since: look again later.
-- Called by retention.
CREATE OR REPLACE FUNCTION tasker_drop_range(p_axis text, p_low bigint, p_high bigint, p_before timestamptz, p_staying bigint[],
    OUT rows_dropped bigint, OUT rows_kept bigint)
LANGUAGE plpgsql AS $$
DECLARE
    p record; v_total bigint; v_staying bigint[]; v_first bigint; v_last bigint;
    v_partitions text[]; v_tables text[];
BEGIN
    IF p_axis = 'task_id' THEN
        PERFORM 1 FROM tasker_tasks t WHERE t.task_id >= p_low AND t.task_id < p_high
            AND (t.state = 'error' OR t.task_id = ANY (p_staying)) ORDER BY t.task_id FOR UPDATE;
        PERFORM 1 FROM tasker_workflow_steps s WHERE s.task_id >= p_low AND s.task_id < p_high
            AND s.task_id = ANY (p_staying) ORDER BY s.workflow_step_id FOR UPDATE;
    ELSE
        PERFORM 1 FROM tasker_step_execution_batches b WHERE b.batch_id >= p_low AND b.batch_id < p_high
            AND b.batch_id = ANY (p_staying) ORDER BY b.batch_id FOR UPDATE;
        PERFORM 1 FROM tasker_step_execution_batch_steps bs WHERE bs.batch_id >= p_low AND bs.batch_id < p_high
            AND bs.batch_id = ANY (p_staying) ORDER BY bs.batch_id, bs.workflow_step_id FOR UPDATE;
    END IF;
    SELECT x.total, x.staying INTO v_total, v_staying
        FROM tasker_staying_ids(p_axis, p_low, p_high, p_before, cardinality(p_staying) + 1) x;
    SELECT array_agg(x.partition_name ORDER BY x.place), array_agg(x.table_name ORDER BY x.place)
        INTO v_partitions, v_tables FROM tasker_partitions(p_axis) x
        WHERE coalesce(x.low, 0) = p_low AND x.high = p_high;
    IF v_staying <> p_staying OR v_partitions IS NULL THEN
        RAISE EXCEPTION 'range % to % of % has changed', p_low, p_high, p_axis USING ERRCODE = 'TK002';
    END IF;
    IF p_axis = 'task_id' THEN
        SELECT min(s.workflow_step_id), max(s.workflow_step_id) INTO v_first, v_last
            FROM tasker_workflow_steps s WHERE s.task_id >= p_low AND s.task_id < p_high;
    END IF;
    IF p_staying <> '{}' THEN
        FOR p IN SELECT v_tables[i] AS table_name, v_partitions[i] AS partition_name, t.options
                 FROM generate_subscripts(v_tables, 1) i
                 JOIN tasker_partitioned_tables() t ON t.table_name = v_tables[i] ORDER BY i LOOP
            EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING ALL EXCLUDING IDENTITY) WITH (%s)',
                p.partition_name || '_new', p.table_name, p.options);
            EXECUTE format('INSERT INTO %I SELECT * FROM %I WHERE %I = ANY ($1)', p.partition_name || '_new',
                p.partition_name, p_axis) USING p_staying;
        END LOOP;
    END IF;

    FOR i IN 1 .. cardinality(v_tables) LOOP
        EXECUTE format('LOCK TABLE ONLY %I IN ACCESS EXCLUSIVE MODE', v_tables[i]);
    END LOOP;
    FOR i IN 1 .. cardinality(v_tables) LOOP
        EXECUTE format('DROP TABLE %I', v_partitions[i]);
        IF p_staying <> '{}' THEN
            EXECUTE format('ALTER TABLE %I RENAME TO %I', v_partitions[i] || '_new', v_partitions[i]);
            EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%s) TO (%s)', v_tables[i],
                v_partitions[i], CASE p_low WHEN 0 THEN 'MINVALUE' ELSE p_low::text END, p_high);
        END IF;
    END LOOP;
    rows_kept := cardinality(p_staying);
    rows_dropped := v_total - rows_kept;
    INSERT INTO tasker_dropped_ranges (axis, low, high, first_step_id, last_step_id, rows_dropped, kept_ids)
        VALUES (p_axis, p_low, p_high, v_first, v_last, rows_dropped, p_staying);
END $$;
