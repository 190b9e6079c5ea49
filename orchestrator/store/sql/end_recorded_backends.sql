-- Ends the connections of the lanes that are recorded, if holder_seen.sql still returns $1 (null: in any case); no row
-- when it does not. A process id may long belong to somebody else, also to an orchestrator of another schema: only our
-- own kind is ended, and nobody who came after the last sign of life.
SELECT (SELECT count(pg_terminate_backend(a.pid)) FROM pg_stat_activity a
        WHERE EXISTS (SELECT FROM tasker_orchestrators o
                      WHERE a.pid = ANY (o.backend_pids) AND a.backend_start <= o.last_seen_at)
          AND a.pid <> pg_backend_pid()
          AND a.datname = current_database() AND a.application_name LIKE 'tasker-orchestrator%')
WHERE $1::text IS NULL
   OR $1::text = (SELECT max(o.epoch) || ' ' || min(o.last_seen_at) FROM tasker_orchestrators o)
