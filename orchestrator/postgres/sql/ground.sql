-- What a new session stands on, before it sets anything. `schema` is that of the installation that the search path
-- reaches, else the first one of the path; null when there is none.
SELECT pg_backend_pid() AS pid, current_setting('server_encoding') AS encoding, current_setting('search_path') AS search_path,
       coalesce((SELECT c.relnamespace FROM pg_class c WHERE c.oid = to_regclass('tasker_schema_migrations')),
                to_regnamespace(quote_ident(current_schema()))::oid) AS schema,
       current_setting('session_replication_role') AS replication_role, pg_is_in_recovery() AS replica,
       current_setting('default_transaction_read_only')::boolean AS is_read_only,
       CASE WHEN current_setting('default_transaction_read_only')::boolean THEN
           (SELECT s.source FROM pg_settings s WHERE s.name = 'default_transaction_read_only') END AS read_only_source,
       current_setting('synchronous_commit') AS synchronous_commit
