-- Messages that could not be taken.
INSERT INTO tasker_rejected_messages (topic, code, reason, session, raw)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::bytea[])
