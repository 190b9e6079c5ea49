-- The checksum over all files of the layer that is in force now, and the version of the program that brought it.
INSERT INTO tasker_schema_layer (checksum, program) VALUES ($1, $2)
