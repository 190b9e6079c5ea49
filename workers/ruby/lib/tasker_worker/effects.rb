# frozen_string_literal: true

module TaskerWorker
  # Side-effect log for tests: one JSON line at the start and at the end of every handler run, of every
  # class, appended by one write, so that a checker can see which attempts really ran, and where. The
  # lines are the same in every SDK; their order in the file is the order of events.
  class EffectsLog
    def self.from_env(worker:, session:, env: ENV)
      path = env.fetch('TASKER_EFFECTS_LOG', '')
      path.empty? ? nil : new(path, worker: worker, session: session)
    end

    attr_accessor :session

    def initialize(path, worker:, session:)
      @file = File.open(path, File::WRONLY | File::APPEND | File::CREAT, 0o644)
      @worker = worker
      @session = session
    rescue SystemCallError => e
      raise ConfigurationError, "TASKER_EFFECTS_LOG: cannot append to #{path}: #{e.message}"
    end

    def write(event, task, step)
      @file.syswrite("#{JSON.generate(
        event: event, step_id: step.step_id, task_id: task.task_id, step_name: step.name,
        attempt: step.attempt, idempotency_key: step.idempotency_key, worker: @worker, session: @session,
        pid: Process.pid, at: Clock.timestamp,
        monotonic_ns: Process.clock_gettime(Process::CLOCK_MONOTONIC, :nanosecond)
      )}\n")
    end
  end
end
