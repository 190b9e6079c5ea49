-- One row per difference between a batch's partial results and its completion. `explained_by` says which loss explains
-- it, null where nothing does. `acknowledged_…`: somebody has looked at just these differences.
-- Read by `tasker batch discrepancies`, people and other languages.
CREATE OR REPLACE VIEW tasker_reconciliation_discrepancies AS
    SELECT b.batch_id, b.batch_uuid, b.task_id, b.handler_class, b.state, b.session, d.difference ->> 'kind' AS kind,
           (d.difference ->> 'step_id')::bigint AS workflow_step_id, d.difference ->> 'detail' AS detail,
           b.partial_results_received, b.final_completion_received, b.batch_size, b.created_at, b.updated_at,
           d.difference ->> 'explained_by' AS explained_by, (a.note ->> 'at')::timestamptz AS acknowledged_at,
           a.note ->> 'actor' AS acknowledged_by, a.note ->> 'reason' AS acknowledged_reason
    FROM tasker_step_execution_batches b
    LEFT JOIN LATERAL jsonb_array_elements(
        CASE WHEN jsonb_typeof(b.metadata -> 'discrepancies') = 'array' THEN b.metadata -> 'discrepancies'
             ELSE '[]' END) AS d(difference) ON true
    LEFT JOIN LATERAL (SELECT b.metadata -> 'acknowledged' AS note
                       WHERE b.metadata #> '{acknowledged,discrepancies}' = b.metadata -> 'discrepancies') a ON true
    WHERE b.reconciliation_status = 'discrepancy';
