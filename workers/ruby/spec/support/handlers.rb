# frozen_string_literal: true

# Handlers of the integration tests; loaded into the worker process with --require.
module Spec
  class EchoHandler
    def initialize(config:)
      @config = config
    end

    def process(task, sequence, step)
      { 'context' => task.context, 'previous' => sequence.previous_results, 'attempt' => step.attempt,
        'config' => @config }
    end
  end

  class FailHandler < EchoHandler
    def process(task, _sequence, _step)
      raise TaskerWorker::RetryableError.new('not now', retry_after: 2.5) if task.context['mode'] == 'retry'

      raise TaskerWorker::PermanentError.new('never', error_code: 'no_way')
    end
  end

  # Ends when the file named in the context exists, so that a test decides how long it runs.
  class GateHandler < EchoHandler
    def process(task, _sequence, step)
      until File.exist?(task.context['gate'])
        if step.cancelled? && task.context['stoppable']
          raise TaskerWorker::RetryableError,
                "stopped: #{step.cancel_reason}"
        end

        sleep 0.005
      end
      { 'opened' => true }
    end
  end

  # Holds the interpreter's lock until the gate file exists: pure Ruby, no call that lets go of it for long.
  class BusyHandler < EchoHandler
    def process(task, _sequence, _step)
      count = 0
      count += 1 until (count % 200_000).zero? && File.exist?(task.context['gate'])
      { 'busy' => true }
    end
  end

  class BadOutputHandler < EchoHandler
    def process(task, _sequence, _step)
      case task.context['kind']
      when 'nan' then { 'x' => Float::NAN }
      when 'object' then { 'x' => Object.new }
      when 'deep' then 10.times.reduce(1) { |inner, _| [inner] }
      else { 'x' => 'y' * 2_000_000 }
      end
    end
  end

  # Writes more than a pipe holds.
  class NoisyHandler < EchoHandler
    def process(*)
      200.times { warn('y' * 1000) }
    end
  end

  # Ends its own thread, or leaves a forked child behind that comes back out of it.
  class LostHandler < EchoHandler
    def process(task, _sequence, step)
      Thread.exit if task.context['kind'] == 'thread'
      child = fork
      Process.wait(child) if child
      { 'attempt' => step.attempt }
    end
  end
end
