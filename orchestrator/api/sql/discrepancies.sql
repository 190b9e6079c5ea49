-- What partial results and completions disagree about, newest batch first. $2 also what a loss explains and what
-- somebody has acknowledged.
SELECT coalesce(json_agg(row_to_json(x)), '[]')::text FROM (
    SELECT * FROM tasker_reconciliation_discrepancies d
    WHERE $2 OR (d.explained_by IS NULL AND d.acknowledged_at IS NULL)
    ORDER BY d.batch_id DESC, d.workflow_step_id, d.kind LIMIT $1) x
