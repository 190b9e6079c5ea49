-- One step towards partitions of about p_rows ids (twice as many for every eight that exist, so that there are never
-- very many); the caller repeats it, each time in a transaction of its own, until `done` is null. Nothing is
-- remembered between steps but what stands in the catalogue, so it may be broken off anywhere.
-- Locks: as described for each step. Raises 55P03 where a lock_timeout of the caller is over, 23514 as
-- tasker_bound_open_partitions.
-- Returns `done`, null when there is nothing to do:
--   bounded    the open partition ends at `bound`, a new one follows. As a rule it is still empty then: this is done
--              when a tenth of its predecessor is used.
--   marked     it holds rows already: a constraint, not yet validated, keeps ids below `bound`. Whoever draws an
--              id beyond it would be refused, so it lies days of the highest rate away: should somebody's lock or
--              nobody's being there keep the work from being finished, nobody notices.
--   validated  one table's constraint was validated, without keeping anybody out.
--   closed     the partition in use is full, or its first row older than p_max_age (null: does not matter): the
--              sequence went on to the next partition, which costs unused ids but locks no table.
-- Called by the orchestrator's retention and `tasker db`.
CREATE OR REPLACE FUNCTION tasker_split_partitions(p_axis text, p_rows bigint, p_max_age interval, OUT done text, OUT bound bigint)
LANGUAGE plpgsql AS $$
DECLARE
    c_far CONSTANT bigint := 1000000000;
    v_last bigint := tasker_last_id(p_axis);
    v_width bigint; v_used boolean; v_first bigint; v_since timestamptz; v_sequence text;
    v_open record; v_current record; p record;
BEGIN
    SELECT p_rows << least(count(*) / 8, 20)::int INTO v_width FROM tasker_partitions(p_axis) x WHERE x.place = 1;
    -- The mark's bound is part of its name.
    SELECT x.*, o.mark INTO STRICT v_open FROM tasker_partitions(p_axis) x
        LEFT JOIN LATERAL (SELECT substring(c.conname FROM '^tasker_open_until_(\d+)$')::bigint AS mark
                           FROM pg_constraint c WHERE c.conrelid = x.partition_name::regclass
                           AND c.conname LIKE 'tasker\_open\_until\_%') o ON true
        WHERE x.place = 1 AND x.high IS NULL;

    IF v_open.mark IS NOT NULL THEN
        bound := v_open.mark;
        SELECT x.partition_name INTO p FROM tasker_partitions(p_axis) x
            JOIN pg_constraint c ON c.conrelid = x.partition_name::regclass AND c.conname = 'tasker_open_until_' || bound
            WHERE x.high IS NULL AND NOT c.convalidated ORDER BY x.place LIMIT 1;
        IF FOUND THEN
            EXECUTE format('ALTER TABLE %I VALIDATE CONSTRAINT %I', p.partition_name, 'tasker_open_until_' || bound);
            done := 'validated';
        ELSE
            PERFORM tasker_bound_open_partitions(p_axis, bound);
            done := 'bounded';
        END IF;
        RETURN;
    END IF;

    EXECUTE format('SELECT EXISTS (SELECT FROM %I)', v_open.partition_name) INTO v_used;
    IF v_used THEN
        bound := v_last + greatest(c_far, 100 * p_rows);
        FOR p IN SELECT x.* FROM tasker_partitions(p_axis) x WHERE x.high IS NULL LOOP
            EXECUTE format('ALTER TABLE %I ADD CONSTRAINT %I CHECK (%I IS NOT NULL%s AND %I < %s) NOT VALID',
                p.partition_name, 'tasker_open_until_' || bound, p_axis,
                coalesce(format(' AND %I >= %s', p_axis, p.low), ''), p_axis, bound);
        END LOOP;
        done := 'marked';
        RETURN;
    END IF;

    SELECT x.* INTO v_current FROM tasker_partitions(p_axis) x
        WHERE x.place = 1 AND v_last + 1 >= coalesce(x.low, 0) AND (x.high IS NULL OR v_last + 1 < x.high);
    EXECUTE format('SELECT %I, created_at FROM %I ORDER BY %I LIMIT 1', p_axis, v_current.partition_name, p_axis)
        INTO v_first, v_since;
    v_used := v_since IS NOT NULL AND (v_last - v_first + 1 >= v_width OR v_since < clock_timestamp() - p_max_age);
    IF v_last + 1 + v_width / 10 * 9 >= v_open.low OR (v_used AND v_current.high = v_open.low) THEN
        bound := v_open.low + v_width;
        PERFORM tasker_bound_open_partitions(p_axis, bound);
        done := 'bounded';
    ELSIF v_used THEN
        v_sequence := CASE p_axis WHEN 'task_id' THEN 'tasker_tasks_task_id_seq'
                                  ELSE 'tasker_step_execution_batches_batch_id_seq' END;
        -- Holds off whoever draws an id, so that the sequence is not set back behind an id just drawn.
        EXECUTE format('ALTER SEQUENCE %I INCREMENT BY 1', v_sequence);
        bound := v_current.high;
        IF tasker_last_id(p_axis) < bound - 1 THEN
            EXECUTE format('ALTER SEQUENCE %I RESTART WITH %s', v_sequence, bound);
        END IF;
        done := 'closed';
    END IF;
END $$;
