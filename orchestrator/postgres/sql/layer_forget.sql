-- Empties the record of the layer, before a new one is written.
WITH forgotten AS (DELETE FROM tasker_schema_layer)
DELETE FROM tasker_schema_objects
