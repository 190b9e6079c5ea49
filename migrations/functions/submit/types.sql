-- A task to be made, or what there is instead. `base`: steps of the requests before.
CREATE TYPE tasker_new_task AS (ord int, task_id bigint, task_template_id bigint, existing boolean, problem text,
    held_until timestamptz, priority smallint, base int);
