-- Every object of this schema that a file of the layer can make, in the order in which they were made. `drop` takes it away (CASCADE may be appended),
-- `signature` is what CREATE OR REPLACE cannot change, `grants` gives an object made anew the rights this one has (null
-- while those are the default ones), `made_now` whether this transaction has made or replaced it.
WITH here AS (
    SELECT n.oid FROM pg_namespace n WHERE n.nspname = current_schema()
), found AS (
    SELECT p.oid, CASE p.prokind WHEN 'p' THEN 'procedure' WHEN 'a' THEN 'aggregate' ELSE 'function' END AS kind,
           p.proname::text AS name, pg_get_function_identity_arguments(p.oid) AS arguments,
           coalesce(pg_get_function_result(p.oid), '') AS signature, p.pronargdefaults::int AS defaults,
           p.proacl AS acl, p.xmin = pg_current_xact_id_if_assigned()::xid AS made_now
    FROM pg_proc p JOIN here ON p.pronamespace = here.oid
    UNION ALL
    SELECT c.oid, 'view', c.relname::text, '',
           (SELECT string_agg(format(E'%s %s %s\n', a.attname, format_type(a.atttypid, a.atttypmod), a.attcollation), ''
                              ORDER BY a.attnum)
            FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0),
           0, c.relacl, r.xmin = pg_current_xact_id_if_assigned()::xid
    FROM pg_class c JOIN here ON c.relnamespace = here.oid
    JOIN pg_rewrite r ON r.ev_class = c.oid AND r.rulename = '_RETURN'
    WHERE c.relkind = 'v'
    UNION ALL
    SELECT t.oid, 'type', t.typname::text, '',
           CASE t.typtype
               WHEN 'c' THEN (SELECT string_agg(format(E'%s %s\n', a.attname, format_type(a.atttypid, a.atttypmod)), ''
                                                ORDER BY a.attnum)
                              FROM pg_attribute a WHERE a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped)
               WHEN 'e' THEN (SELECT string_agg(e.enumlabel || E'\n', '' ORDER BY e.enumsortorder)
                              FROM pg_enum e WHERE e.enumtypid = t.oid)
               WHEN 'd' THEN concat_ws(E'\n', format_type(t.typbasetype, t.typtypmod), t.typnotnull, t.typdefault,
                                       (SELECT string_agg(pg_get_constraintdef(k.oid), E'\n' ORDER BY k.conname)
                                        FROM pg_constraint k WHERE k.contypid = t.oid))
               ELSE (SELECT format_type(g.rngsubtype, NULL) FROM pg_range g WHERE g.rngtypid = t.oid)
           END,
           0, t.typacl, t.xmin = pg_current_xact_id_if_assigned()::xid
    FROM pg_type t JOIN here ON t.typnamespace = here.oid
    WHERE t.typtype IN ('e', 'd', 'r')
       OR (t.typtype = 'c' AND EXISTS (SELECT FROM pg_class c WHERE c.oid = t.typrelid AND c.relkind = 'c'))
    UNION ALL
    SELECT t.oid, 'trigger', t.tgname::text, quote_ident(c.relname), '', 0, NULL::aclitem[],
           t.xmin = pg_current_xact_id_if_assigned()::xid
    FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid JOIN here ON c.relnamespace = here.oid
    WHERE NOT t.tgisinternal AND t.tgparentid = 0
), named AS (
    SELECT f.*,
           CASE WHEN f.kind IN ('view', 'type') THEN format('%s IF EXISTS %I', f.kind, f.name)
                WHEN f.kind = 'trigger' THEN format('%s IF EXISTS %I ON %s', f.kind, f.name, f.arguments)
                WHEN f.kind = 'aggregate' AND f.arguments = '' THEN format('%s IF EXISTS %I(*)', f.kind, f.name)
                ELSE format('%s IF EXISTS %I(%s)', f.kind, f.name, f.arguments) END AS target,
           CASE f.kind WHEN 'view' THEN format('TABLE %I', f.name)
                       WHEN 'type' THEN format('TYPE %I', f.name)
                       ELSE format('ROUTINE %I(%s)', f.name, f.arguments) END AS granted
    FROM found f
)
SELECT n.kind, n.name, n.arguments, coalesce(n.signature, '') AS signature, n.defaults, coalesce(n.made_now, false) AS made_now,
       'DROP ' || n.target AS drop,
       nullif(concat_ws('; ', CASE WHEN n.acl IS NOT NULL THEN
           (SELECT concat(format('REVOKE ALL ON %s FROM PUBLIC', n.granted),
                          string_agg(format('; GRANT %s ON %s TO %s%s', x.privilege_type, n.granted,
                                            CASE x.grantee WHEN 0 THEN 'PUBLIC'
                                                           ELSE quote_ident(pg_get_userbyid(x.grantee)) END,
                                            CASE WHEN x.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END), ''))
            FROM aclexplode(n.acl) x) END,
           -- Rights on columns; a column that the new view has no more is passed over.
           CASE n.kind WHEN 'view' THEN
           (SELECT string_agg(format('DO $do$BEGIN IF EXISTS (SELECT FROM pg_attribute WHERE attrelid = %L::regclass AND '
                                     'attname = %L AND NOT attisdropped) THEN GRANT %s (%I) ON TABLE %I TO %s%s; END IF; '
                                     'END$do$', quote_ident(n.name), a.attname, x.privilege_type, a.attname, n.name,
                                     CASE x.grantee WHEN 0 THEN 'PUBLIC'
                                                    ELSE quote_ident(pg_get_userbyid(x.grantee)) END,
                                     CASE WHEN x.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END), '; '
                              ORDER BY a.attnum)
            FROM pg_attribute a CROSS JOIN LATERAL aclexplode(a.attacl) x
            WHERE a.attrelid = n.oid AND a.attacl IS NOT NULL AND NOT a.attisdropped) END), '') AS grants
FROM named n
WHERE NOT $1::boolean OR n.made_now
ORDER BY n.oid
