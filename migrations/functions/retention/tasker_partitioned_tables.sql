-- The tables that are cut into ranges, by axis, in the order in which turns use them (so they are locked in it), with
-- the storage parameters of their partitions. The first two partitions have the same by 002 and 003.
-- Reads no table, raises nothing. Called by the functions of this folder.
CREATE OR REPLACE FUNCTION tasker_partitioned_tables()
RETURNS TABLE (axis text, place int, table_name text, options text)
LANGUAGE sql IMMUTABLE AS $$
    SELECT x.axis, x.place, x.table_name, CASE WHEN x.changes
        THEN 'fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 5000, '
             || 'autovacuum_vacuum_cost_delay = 1, '
        ELSE '' END
        || 'autovacuum_vacuum_insert_scale_factor = 0.2, autovacuum_vacuum_insert_threshold = 50000, '
        || 'autovacuum_analyze_scale_factor = 0.05, autovacuum_analyze_threshold = 5000'
    FROM (VALUES
        ('task_id', 1, 'tasker_tasks', true),
        ('task_id', 2, 'tasker_task_transitions', false),
        ('task_id', 3, 'tasker_workflow_steps', true),
        ('task_id', 4, 'tasker_workflow_step_edges', false),
        ('task_id', 5, 'tasker_workflow_step_transitions', false),
        ('batch_id', 1, 'tasker_step_execution_batches', true),
        ('batch_id', 2, 'tasker_step_execution_batch_steps', true),
        ('batch_id', 3, 'tasker_step_execution_batch_received_results', false),
        ('batch_id', 4, 'tasker_step_execution_batch_transitions', true)) x(axis, place, table_name, changes)
$$;
