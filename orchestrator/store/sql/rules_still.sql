-- Whether lane $1 is still of epoch $2.
SELECT 1 FROM tasker_orchestrators WHERE lane = $1 AND epoch = $2
