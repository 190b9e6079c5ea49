-- Explains one task: why is each step not running? One cause per open step, from the predicate that the claim itself
-- uses, with what happens next and when. First row: the task itself (workflow_step_id and name are null); then one
-- row per step that is not complete or resolved, by id. No row at all: there is no such task.
--   cause: of steps as in tasker_explain_causes(). Of the task: its state once it has ended; orchestrator_down while
--     nobody drives it; else the first of its steps' causes in that order.
--   since: from when at the earliest. next_event, next_at: what ends this, and when if that is known.
--   waits_for: the unfinished parents (null for later steps where very many wait).
--   blocking_step_id: the step at the root of the wait, whose row has the cause.
--   ahead: ready steps of the same handler and namespace that go first; null where not counted (or too many).
--   detail: facts that explain the cause. Of the task: causes {cause: steps}, orchestrator, sessions, and handlers
--     {handler_class: who serves it} for those that claimable steps wait for: many steps share one.
-- Reads only, raises nothing. Everything goes through indexes and reads each step of the task a bounded number of
-- times, so it answers within milliseconds for the largest task beside millions of other steps: the settings keep the
-- planner to that on tables it has no statistics of.
-- Called by `tasker task explain`, HTTP and other languages.
CREATE OR REPLACE FUNCTION tasker_explain_task(p_task_id bigint, p_now timestamptz DEFAULT clock_timestamp())
RETURNS SETOF tasker_explanation
LANGUAGE plpgsql STABLE
SET jit = off SET enable_seqscan = off SET enable_nestloop = off SET enable_bitmapscan = off AS $$
DECLARE
    v_task record; v_ruler record; v_open record;
    v_standing tasker_explain_key[] := '{}'; v_places tasker_explain_place[] := '{}';
    v_deliveries tasker_explain_delivery[] := '{}'; v_steps tasker_explanation[]; v_lanes int;
BEGIN
    SELECT t.* INTO v_task FROM tasker_tasks t WHERE t.task_id = p_task_id;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    SELECT o.* INTO v_ruler FROM tasker_ruling_orchestrator(p_now) o;
    v_lanes := coalesce(v_ruler.lanes, 1);

    SELECT min(s.workflow_step_id) AS low, max(s.workflow_step_id) AS high,
           min(s.workflow_step_id) FILTER (WHERE s.remaining_parents > 0) AS first,
           max(s.workflow_step_id) FILTER (WHERE s.remaining_parents > 0) AS last,
           coalesce(array_agg(s.workflow_step_id) FILTER (WHERE s.state = 'in_progress'), '{}') AS going,
           coalesce(array_agg(s.workflow_step_id) FILTER (WHERE s.claimable), '{}') AS claimable,
           coalesce(array_agg(DISTINCT s.handler_key) FILTER (WHERE s.claimable), '{}') AS keys,
           coalesce(array_agg(s.workflow_step_id) FILTER (WHERE s.state IN ('error', 'cancelled')), '{}') AS ended
        INTO v_open
    FROM (SELECT s.workflow_step_id, s.state, s.remaining_parents, s.handler_key,
                 tasker_is_claimable(s.state, s.remaining_parents, s.ready_key, s.next_attempt_at, p_now) AS claimable
          FROM tasker_workflow_steps s
          WHERE s.task_id = p_task_id AND s.state NOT IN ('complete', 'resolved_manually')) s;
    IF cardinality(v_open.going) > 0 THEN
        v_deliveries := ARRAY(SELECT d FROM tasker_explain_deliveries(v_open.going) d);
    END IF;
    IF cardinality(v_open.claimable) > 0 THEN
        v_standing := ARRAY(SELECT k FROM tasker_explain_keys(v_open.keys, v_ruler.epoch) k);
        v_places := ARRAY(SELECT p FROM tasker_explain_places(v_open.claimable, v_open.keys, v_ruler.epoch,
            v_task.shard % v_lanes, v_lanes, EXISTS (SELECT FROM unnest(v_standing) k WHERE k.free > 0),
            p_now) p);
    END IF;
    v_steps := ARRAY(SELECT e FROM tasker_explain_steps(p_task_id, p_now,
        tasker_explain_waits(p_task_id, v_open.low, v_open.high, v_open.first, v_open.last, v_open.ended),
        v_open.ended, v_deliveries, v_standing, v_places) e);
    RETURN QUERY SELECT e.* FROM tasker_explain_summary(v_task.state, v_task.completed_at, v_ruler.instance,
        v_ruler.epoch, v_ruler.state, v_ruler.last_seen_at, v_ruler.down, v_steps, v_standing) e;
    RETURN QUERY SELECT e.* FROM unnest(v_steps) e;
END $$;
