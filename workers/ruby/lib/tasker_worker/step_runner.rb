# frozen_string_literal: true

module TaskerWorker
  # Runs one handler and turns whatever happens into an Outcome. Never raises: what a handler throws is
  # a report, not a fault of the worker. Called from pool threads.
  class StepRunner
    attr_accessor :result_bytes

    def initialize(result_bytes: Wire::Codec::RESULT_BYTES_MAX, effects: nil, clock: Clock)
      @result_bytes = result_bytes
      @effects = effects
      @clock = clock
    end

    def call(job)
      run(job.handler, job.task, job.sequence, job.step)
    end

    def run(handler, task, sequence, step)
      started = @clock.now_ms
      status, output_json, error = attempt(handler, task, sequence, step)
      Outcome.new(status, output_json, error, (@clock.now_ms - started).round)
    end

    private

    # [status, output as JSON text, error]
    def attempt(handler, task, sequence, step)
      @effects&.write('start', task, step)
      result = outcome_of(handler, task, sequence, step)
      @effects&.write('end', task, step)
      result
    rescue SystemCallError => e
      # The side-effect log of a test cannot be written: the attempt must not look clean.
      describe(e)
    end

    def outcome_of(handler, task, sequence, step)
      ['completed', output_of(handler, task, sequence, step), nil]
    rescue Exception => e # rubocop:disable Lint/RescueException -- exit, abort or a stack overflow in a
      # handler must end its step, not the pool thread that other steps need.
      describe(e)
    end

    def output_of(handler, task, sequence, step)
      output = handler.process(task, sequence, step)
      output = handler.process_results(step, output, nil) if handler.respond_to?(:process_results)
      json = Output.encode(output)
      return json if json.bytesize <= @result_bytes

      raise PermanentError.new("the output is #{json.bytesize} bytes of JSON, the limit is #{@result_bytes}",
                               error_code: 'output_too_large')
    end

    def describe(exception)
      status, error = if exception.is_a?(Output::Unserialisable)
                        ['error', ErrorReport.build(exception.message, error_type: 'PermanentError',
                                                                       retryable: false,
                                                                       error_code: 'unserialisable_output')]
                      else
                        ErrorReport.from(exception)
                      end
      [status, nil, error]
    rescue StandardError => e
      # An exception whose own message or context raises.
      ['failed', nil, ErrorReport.build("#{exception.class} could not be described: #{e.class}",
                                        error_type: exception.class.to_s, retryable: true)]
    end
  end

  # Side-effect log for tests: one JSON line at the start and at the end of every handler run, of every
  # class, appended by one write, so that the checker can tell which attempts really ran, and where. The
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
