-- What the sessions of $1 do now, in this order; one that retention has forgotten is `gone`.
SELECT coalesce(json_agg(json_build_object('session', a.session, 'worker_id', w.worker_id,
                                           'state', coalesce(w.state, 'gone'),
                                           'in_flight', coalesce(w.in_flight, 0)) ORDER BY a.place), '[]')::text
FROM unnest($1::text[]) WITH ORDINALITY a (session, place)
LEFT JOIN tasker_workers w ON w.session = a.session
