DROP VIEW tasker_step_dag_relationships, tasker_overdue_batches, tasker_orphaned_steps, tasker_steps_without_results,
    tasker_reconciliation_discrepancies;
DROP FUNCTION get_system_health_counts();
DROP FUNCTION calculate_dependency_levels(bigint);
DROP FUNCTION get_task_execution_context(bigint);
DROP FUNCTION get_step_readiness_status(bigint, bigint[]);
