-- Instance $1 waits as a standby no more.
DELETE FROM tasker_standbys WHERE instance = $1
