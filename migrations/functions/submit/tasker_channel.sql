-- The channel of NOTIFY and LISTEN for `p_name` (tasker_wake, tasker_done): the name itself for an installation in the
-- schema public, else with the number of its table of tasks behind it. Channels belong to the whole database, and
-- installations in other schemas must not be woken. Takes no locks, raises nothing, and is cheap enough for a turn.
-- Called by whoever notifies or listens.
CREATE OR REPLACE FUNCTION tasker_channel(p_name text) RETURNS text
LANGUAGE sql STABLE AS $$
    SELECT CASE WHEN to_regclass('public.tasker_tasks') = 'tasker_tasks'::regclass THEN p_name
                ELSE p_name || '_' || 'tasker_tasks'::regclass::oid END
$$;
