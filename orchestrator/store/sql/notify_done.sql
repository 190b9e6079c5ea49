-- Notifies whoever waits for these tasks that they have ended.
SELECT pg_notify(tasker_channel('tasker_done'), id::text) FROM unnest($1::bigint[]) id
