-- Closes the discrepancies of a batch: somebody has looked at them, and says why nothing is to be done. They are kept
-- beside the acknowledgement; what differs later is open again.
-- Locks: the batch. Returns one tasker_operation. Raises 22023 without a reason.
-- Called by the command line, HTTP and other languages.
CREATE OR REPLACE FUNCTION tasker_acknowledge_batch(p_batch_id bigint, p_reason text, p_actor text DEFAULT NULL)
RETURNS tasker_operation
LANGUAGE plpgsql AS $$
DECLARE v_batch tasker_step_execution_batches;
BEGIN
    IF coalesce(p_reason, '') = '' THEN
        RAISE EXCEPTION 'reason: is missing' USING ERRCODE = 'invalid_parameter_value', COLUMN = 'reason';
    END IF;
    SELECT b.* INTO v_batch FROM tasker_step_execution_batches b WHERE b.batch_id = p_batch_id FOR UPDATE;
    IF NOT FOUND THEN
        RETURN tasker_operation_result('not_found', 'unknown_batch', format('there is no batch %s', p_batch_id), NULL);
    ELSIF v_batch.reconciliation_status <> 'discrepancy' THEN
        RETURN tasker_operation_result('refused', 'no_discrepancy',
            format('batch %s is %s: there is no discrepancy to acknowledge', p_batch_id, v_batch.reconciliation_status),
            v_batch.task_id);
    ELSIF v_batch.metadata #> '{acknowledged,discrepancies}' = v_batch.metadata -> 'discrepancies' THEN
        RETURN tasker_operation_result('unchanged', 'already_acknowledged',
            format('batch %s is acknowledged already', p_batch_id), v_batch.task_id);
    END IF;
    UPDATE tasker_step_execution_batches b SET updated_at = clock_timestamp(),
        metadata = b.metadata || jsonb_build_object('acknowledged', jsonb_strip_nulls(jsonb_build_object(
            'at', clock_timestamp(), 'actor', nullif(p_actor, ''), 'reason', p_reason))
            || jsonb_build_object('discrepancies', b.metadata -> 'discrepancies'))
    WHERE b.batch_id = p_batch_id;
    RETURN tasker_operation_result('done', NULL,
        format('the discrepancies of batch %s are acknowledged', p_batch_id), v_batch.task_id);
END $$;
