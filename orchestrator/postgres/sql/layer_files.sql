-- The files of the layer in force, each with its checksum.
SELECT DISTINCT file, checksum FROM tasker_schema_objects
