-- Which of the migrator's own tables are there.
SELECT to_regclass('tasker_schema_migrations') IS NOT NULL AS migrations,
       to_regclass('tasker_schema_layer') IS NOT NULL AND to_regclass('tasker_schema_objects') IS NOT NULL AS layer
