-- Ranges that no new id can fall into and whose last row was made before p_before, oldest first.
-- Reads only, raises nothing. Called by retention.
CREATE OR REPLACE FUNCTION tasker_expired_ranges(p_axis text, p_before timestamptz)
RETURNS TABLE (low bigint, high bigint, partition_name text)
LANGUAGE plpgsql AS $$
DECLARE
    v_last bigint := tasker_last_id(p_axis); v_made timestamptz; p record;
BEGIN
    FOR p IN SELECT x.* FROM tasker_partitions(p_axis) x WHERE x.place = 1 AND x.high <= v_last + 1 LOOP
        EXECUTE format('SELECT created_at FROM %I ORDER BY %I DESC LIMIT 1', p.partition_name, p_axis) INTO v_made;
        CONTINUE WHEN v_made IS NULL OR v_made >= p_before;
        low := coalesce(p.low, 0);
        high := p.high;
        partition_name := p.partition_name;
        RETURN NEXT;
    END LOOP;
END $$;
