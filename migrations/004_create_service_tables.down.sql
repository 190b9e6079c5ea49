DROP TABLE tasker_rejected_messages, tasker_dead_letters, tasker_workers, tasker_orchestrators;
