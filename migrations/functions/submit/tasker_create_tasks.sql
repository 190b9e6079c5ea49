-- Creates many tasks in one transaction, each made whole: identity, task, steps, edges, counters, transitions.
-- `p_requests`: [{task_template_id | namespace, name, version; context, context_hash, scope, identity_hash,
-- identity_expires_at, priority, tags, initiator, source_system, reason, requested_at, not_before, trace_context,
-- parent_task_id, parent_step_id}].
-- Locks: the identities that it inserts (a second submission of the same one waits for the first); nothing else.
-- Returns one row per request, in order: its task (`existing` when the identity was seen before), or the `problem`:
-- unknown_template | idempotency_conflict. Notifies tasker_wake: `keys:…;from:…;shard:…` names the handler keys, from
-- where on the new steps stand (their ids are taken in one block, rising), and the shard when there is one task only.
-- Raises 22023 for whatever the command line refuses too, naming request and field (tasker_request_problem), and creates
-- nothing then. The schema of contexts is the caller's to check: only C++ reads it.
-- Called by every submitter: command line, HTTP, other languages, tests.
CREATE OR REPLACE FUNCTION tasker_create_tasks(p_requests jsonb)
RETURNS TABLE (ord int, task_id bigint, existing boolean, step_count int, problem text)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    v_new tasker_new_task[]; v_ids bigint[]; v_keys text; v_wrong record;
BEGIN
    IF p_requests -> 1 IS NOT NULL OR tasker_is_plain_request(p_requests -> 0) IS NOT TRUE THEN
        SELECT p.* INTO v_wrong FROM tasker_request_problems(p_requests) p LIMIT 1;
        IF FOUND THEN
            RAISE EXCEPTION '%', concat_ws(': ', 'request ' || nullif(v_wrong.ord, 0), nullif(v_wrong.field, ''),
                                           v_wrong.message)
                USING ERRCODE = 'invalid_parameter_value', COLUMN = v_wrong.field;
        END IF;
    END IF;
    v_new := tasker_plan_tasks(p_requests);
    v_ids := ARRAY(SELECT nextval('tasker_workflow_steps_workflow_step_id_seq')
                   FROM unnest(v_new) n
                   CROSS JOIN LATERAL generate_series(1, (SELECT max(s.position) FROM tasker_task_template_steps s
                                                          WHERE s.task_template_id = n.task_template_id))
                   WHERE NOT n.existing AND n.problem IS NULL);

    INSERT INTO tasker_tasks (task_id, named_task_id, template_revision, namespace_id, priority, shard, open_steps,
            movable_steps, parent_task_id, parent_step_id, requested_at, not_before, initiator, source_system,
            reason, trace_context, tags, context)
        SELECT n.task_id, tt.named_task_id, tt.revision, nt.task_namespace_id, n.priority,
               (hashint8(n.task_id) & 63)::smallint, c.steps, c.roots, x.parent_task_id::bigint, x.parent_step_id::bigint,
               coalesce(x.requested_at, now()), x.not_before, x.initiator, x.source_system, x.reason,
               x.trace_context, coalesce(x.tags, '[]'), coalesce(x.context, '{}')
        FROM unnest(v_new) n
        JOIN tasker_task_templates tt ON tt.task_template_id = n.task_template_id
        JOIN tasker_named_tasks nt ON nt.named_task_id = tt.named_task_id
        CROSS JOIN LATERAL (SELECT count(*)::int AS steps, count(*) FILTER (WHERE s.parent_positions = '{}')::int
                            AS roots FROM tasker_task_template_steps s
                            WHERE s.task_template_id = n.task_template_id) c
        CROSS JOIN LATERAL jsonb_to_record(p_requests -> (n.ord - 1)) AS x(context jsonb, tags jsonb, initiator text,
             source_system text, reason text, requested_at timestamptz, not_before timestamptz, trace_context text,
             parent_task_id numeric, parent_step_id numeric)
        WHERE NOT n.existing AND n.problem IS NULL;

    v_keys := tasker_create_steps(v_new, v_ids);
    IF v_keys IS NOT NULL THEN
        -- A held task needs the timer of the next due step set anew, which only a scan does.
        PERFORM pg_notify(tasker_channel('tasker_wake'), CASE
            WHEN length(v_keys) < 4000 AND NOT EXISTS (SELECT FROM unnest(v_new) n WHERE n.held_until IS NOT NULL)
            THEN format('keys:%s;from:%s:%s', v_keys, (SELECT max(n.priority) FROM unnest(v_new) n), v_ids[1])
                 || CASE WHEN cardinality(v_new) = 1 THEN ';shard:' || (hashint8(v_new[1].task_id) & 63) ELSE '' END
            ELSE 'scan' END);
    END IF;
    RETURN QUERY SELECT n.ord, n.task_id, n.existing,
            (SELECT count(*)::int FROM tasker_task_template_steps s WHERE s.task_template_id = n.task_template_id),
            n.problem
        FROM unnest(v_new) n ORDER BY n.ord;
END $$;
