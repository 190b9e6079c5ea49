# frozen_string_literal: true

module Conformance
  # The conformance handler for Ruby: does what handler_config asks for, and logs its start and end.
  # README.md says what each key of handler_config does.
  class Handler < TaskerWorker::StepHandler
    def process(task, sequence, step)
      config = step.handler_config
      log(config, 'start', step)
      busy(config.fetch('busy_ms', 0))
      wait(config, step)
      log(config, 'end', step)
      fail_as_told(config)
      output(config, task, sequence, step)
    end

    private

    def log(config, event, step)
      File.open(config['log'], 'a') { |file| file.syswrite("#{event} #{step.step_id} #{step.attempt}\n") }
    end

    def busy(milliseconds)
      finish = now_ms + milliseconds
      nil while now_ms < finish
    end

    def wait(config, step)
      finish = now_ms + config.fetch('sleep_ms', 0)
      gate = config['until']
      while now_ms < finish || (gate && !File.exist?(gate))
        if step.cancelled? && !config['deaf']
          raise TaskerWorker::RetryableError, "stopped: #{step.cancel_reason}"
        end

        sleep 0.005
      end
    end

    def fail_as_told(config)
      if config['fail']
        raise TaskerWorker::RetryableError.new(config['fail'], retry_after: config['retry_after_seconds'])
      end
      raise TaskerWorker::PermanentError, config['error'] if config['error']
      raise config['crash'] if config['crash']

      exit 1 if config['exit']
      raise TaskerWorker::SnoozeError.new(config['snooze'], config['snooze_message'].to_s) if config['snooze']
    end

    def output(config, task, sequence, step)
      return config['output'] if config.key?('output')
      return { 'text' => 'x' * config['output_bytes'] } if config.key?('output_bytes')
      return nested(config['output_depth']) if config.key?('output_depth')

      { 'context' => task.context, 'previous_results' => sequence.previous_results,
        'idempotency_key' => step.idempotency_key, 'attempt' => step.attempt }
    end

    def nested(depth) = depth.zero? ? 1 : [nested(depth - 1)]

    def now_ms = Process.clock_gettime(Process::CLOCK_MONOTONIC, :float_millisecond)
  end
end
