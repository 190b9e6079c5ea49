-- Sessions that serve the same keys share their slots: `slots` when no other lane contends for them, `share` when all
-- do.
CREATE TYPE tasker_explain_profile AS (keys int[], slots int, share int);

-- A step that joins the ready index with the next turn.
CREATE TYPE tasker_explain_due AS (step_id bigint, handler_key int, priority smallint, namespace_id int);

-- How a handler key of claimable steps stands: whether sessions serve it, and the detail its steps show.
CREATE TYPE tasker_explain_key AS (handler_key int, serving int, free int, plain boolean, detail jsonb);

-- A step in progress: its open delivery, with whom it is, and when that worker was last heard.
CREATE TYPE tasker_explain_delivery AS (step_id bigint, batch_uuid text, batch_state text, session text,
    published_at timestamptz, started_at timestamptz, granted_at timestamptz, worker_id text, worker_state text,
    times_out_at timestamptz, worker_seen_at timestamptz);

-- A claimable step: how many ready steps of its key stand before it (null beyond what is counted), and what the next
-- turn does with it (null: nothing).
CREATE TYPE tasker_explain_place AS (step_id bigint, ahead int, cause text);

-- The waits in a task. `roots` and `failed` are indexed by a step's id, from `low` on: the step at the
-- root of its wait (0: not an open step of this task), and whether it has failed or waits for one that has. The edges
-- from_ids → to_ids name unfinished parents. All are null when no step waits.
CREATE TYPE tasker_explain_graph AS (low bigint, roots bigint[], failed boolean[], from_ids bigint[], to_ids bigint[]);

-- One row of an explanation; tasker_explain_task() explains it.
CREATE TYPE tasker_explanation AS (workflow_step_id bigint, name text, state text, cause text, since timestamptz,
    next_event text, next_at timestamptz, blocking_step_id bigint, waits_for bigint[], ahead int, attempts int,
    retry_limit int, handler_class text, worker_id text, session text, detail jsonb);
