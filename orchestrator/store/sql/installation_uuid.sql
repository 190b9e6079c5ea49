-- Which installation this database is.
SELECT installation_uuid FROM tasker_installation
