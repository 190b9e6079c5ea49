-- Deletes up to p_limit rows of a table that is not partitioned, older than p_before. p_what: identities |
-- rejected_messages | workers | dead_letters. Identities are those that have expired, whatever p_before is.
-- Locks: the rows it deletes, skipping those somebody holds. Returns how many. Raises 20000 for another p_what.
-- Called by retention.
CREATE OR REPLACE FUNCTION tasker_forget_rows(p_what text, p_before timestamptz, p_limit int) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE v_count bigint;
BEGIN
    CASE p_what
    WHEN 'identities' THEN
        DELETE FROM tasker_task_identities i WHERE i.ctid = ANY (ARRAY(
            SELECT x.ctid FROM tasker_task_identities x WHERE x.expires_at < clock_timestamp()
            LIMIT p_limit FOR UPDATE SKIP LOCKED));
    WHEN 'rejected_messages' THEN
        DELETE FROM tasker_rejected_messages m WHERE m.received_at < p_before AND m.id = ANY (ARRAY(
            SELECT x.id FROM tasker_rejected_messages x ORDER BY x.id LIMIT p_limit));
    WHEN 'workers' THEN
        DELETE FROM tasker_workers w WHERE w.session = ANY (ARRAY(
            SELECT x.session FROM tasker_workers x
            WHERE x.state IN ('lost', 'left', 'gone') AND x.last_heartbeat_at < p_before LIMIT p_limit FOR UPDATE SKIP LOCKED));
    WHEN 'dead_letters' THEN
        DELETE FROM tasker_dead_letters d WHERE d.dead_letter_id = ANY (ARRAY(
            SELECT x.dead_letter_id FROM tasker_dead_letters x
            WHERE x.resolved_at < p_before AND NOT EXISTS (SELECT FROM tasker_tasks t WHERE t.task_id = x.task_id)
            LIMIT p_limit FOR UPDATE OF x SKIP LOCKED));
    END CASE;
    GET DIAGNOSTICS v_count = ROW_COUNT;
    RETURN v_count;
END $$;
