-- Sessions of an earlier epoch that have not come back, and those that the registry of epoch $1 has forgotten (it knows
-- those in $2). Those that have left said so themselves, and stay so.
UPDATE tasker_workers SET state = 'gone', in_flight = 0, free_credit = 0
WHERE state NOT IN ('left', 'gone') AND NOT (session = ANY ($2::text[]))
  AND (epoch = $1 OR last_heartbeat_at < clock_timestamp() - interval '1 min')
