-- The channel on which this installation is woken.
SELECT tasker_channel('tasker_wake')
