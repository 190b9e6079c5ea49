-- One line for each object of the layer, in order. `body` is the digest of a routine's text, null for anything else.
INSERT INTO tasker_schema_objects (position, kind, name, arguments, file, checksum, body)
SELECT o.position, o.kind, o.name, o.arguments, o.file, o.checksum,
       (SELECT md5(p.prosrc || coalesce(p.proconfig::text, '')) FROM pg_proc p
        WHERE p.proname = o.name AND p.pronamespace = to_regnamespace(quote_ident(current_schema()))
          AND o.kind IN ('function', 'procedure') AND pg_get_function_identity_arguments(p.oid) = o.arguments)
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[])
    WITH ORDINALITY AS o (kind, name, arguments, file, checksum, position)
