-- The objects of the layer in the order in which they were made.
SELECT kind, name, arguments, file, checksum FROM tasker_schema_objects ORDER BY position
