-- What the migrator keeps for itself: the numbered files that were applied, the objects of the layer of functions and
-- views, and the one checksum of that layer with the version of the program it came from.
CREATE TABLE IF NOT EXISTS tasker_schema_migrations (
    version int PRIMARY KEY,
    name varchar(128) NOT NULL,
    checksum char(64) NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT clock_timestamp());
CREATE TABLE IF NOT EXISTS tasker_schema_objects (
    position int PRIMARY KEY,
    kind varchar(16) NOT NULL,
    name varchar(63) NOT NULL,
    arguments text NOT NULL,
    file varchar(255) NOT NULL,
    checksum char(64) NOT NULL,
    body char(32));
CREATE TABLE IF NOT EXISTS tasker_schema_layer (
    only_one boolean PRIMARY KEY DEFAULT true CHECK (only_one),
    checksum char(64) NOT NULL,
    program varchar(64) NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT clock_timestamp());
