-- Drops a range except $5, which must still be all that has to stay.
SELECT rows_dropped, rows_kept FROM tasker_drop_range($1, $2, $3, $4::timestamptz, $5::bigint[])
