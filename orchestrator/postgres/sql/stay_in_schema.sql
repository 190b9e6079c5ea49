-- Makes the schema with oid $1 the only one of the search path: one made later, for the role say, must not hide it.
SELECT set_config('search_path', quote_ident(n.nspname), false) FROM pg_namespace n WHERE n.oid = $1
