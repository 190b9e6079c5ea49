-- These bytes as text; null when they are no UTF-8, or hold a zero byte, which no text of PostgreSQL may.
-- Reads no table, raises nothing. Called by `tasker worker rejected`.
CREATE OR REPLACE FUNCTION tasker_readable_text(p_bytes bytea) RETURNS text
LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    RETURN convert_from(p_bytes, 'UTF8');
EXCEPTION WHEN character_not_in_repertoire OR untranslatable_character THEN
    RETURN NULL;
END $$;
