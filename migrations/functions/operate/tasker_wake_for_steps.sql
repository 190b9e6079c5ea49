-- Wakes the orchestrator for these steps' handler keys (NOTIFY tasker_wake).
-- Reads only, raises nothing. Called by the functions of this folder once steps became ready.
CREATE OR REPLACE FUNCTION tasker_wake_for_steps(p_step_ids bigint[]) RETURNS void
LANGUAGE sql AS $$
    SELECT pg_notify(tasker_channel('tasker_wake'),
                     CASE WHEN length(k.keys) < 4000 THEN 'keys:' || k.keys ELSE 'scan' END)
    FROM (SELECT string_agg(DISTINCT s.handler_key::text, ',') AS keys FROM tasker_workflow_steps s
          WHERE s.workflow_step_id = ANY (p_step_ids)) k
    WHERE k.keys IS NOT NULL
$$;
