# frozen_string_literal: true

# Small handlers for workflows that show a shape (chain, diamond, fan-out, tree): arithmetic whose final
# value proves that every result travelled the right edge, and steps that fail on purpose.
module Patterns
  module StepHandlers
    # Sums what the direct parents produced.
    module ParentValues
      private

      def values(sequence)
        sequence.previous_results.transform_values { |results| results.fetch('value') }
      end

      def setting(step, name)
        step.handler_config.fetch(name) do
          raise TaskerWorker::ValidationError.new("handler_config.#{name} is missing",
                                                  field: "handler_config.#{name}")
        end
      end
    end

    # The root: {value: context.value}.
    class StartHandler < TaskerWorker::StepHandler
      def process(task, _sequence, _step)
        value = task.context['value']
        unless value.is_a?(Numeric)
          raise TaskerWorker::ValidationError.new('context.value must be a number', field: 'value')
        end

        { 'value' => value }
      end
    end

    # {value: sum of the parents' values + handler_config.amount}
    class AddHandler < TaskerWorker::StepHandler
      include ParentValues

      def process(_task, sequence, step)
        { 'value' => values(sequence).values.sum + setting(step, 'amount') }
      end
    end

    # {value: sum of the parents' values × handler_config.factor}
    class MultiplyHandler < TaskerWorker::StepHandler
      include ParentValues

      def process(_task, sequence, step)
        { 'value' => values(sequence).values.sum * setting(step, 'factor') }
      end
    end

    # {value: sum of all parents' values, count: number of parents}
    class SumHandler < TaskerWorker::StepHandler
      include ParentValues

      def process(_task, sequence, _step)
        all = values(sequence)
        { 'value' => all.values.sum, 'count' => all.size }
      end
    end

    # {values: {parent: value}}
    class CollectHandler < TaskerWorker::StepHandler
      include ParentValues

      def process(_task, sequence, _step)
        { 'values' => values(sequence) }
      end
    end

    # Returns the context.
    class EchoHandler < TaskerWorker::StepHandler
      def process(task, _sequence, _step) = task.context
    end

    # Waits handler_config.sleep_ms (else context.sleep_ms) and stops early when cancelled.
    class SleepHandler < TaskerWorker::StepHandler
      SLICE_S = 0.02

      def process(task, _sequence, step)
        millis = step.handler_config['sleep_ms'] || task.context.fetch('sleep_ms', 0)
        deadline = TaskerWorker::Clock.now_ms + millis
        while (left_ms = deadline - TaskerWorker::Clock.now_ms).positive?
          raise TaskerWorker::RetryableError, "cancelled: #{step.cancel_reason}" if step.cancelled?

          sleep([left_ms / 1000.0, SLICE_S].min)
        end
        { 'slept_ms' => millis }
      end
    end

    # Fails for good.
    class FailHandler < TaskerWorker::StepHandler
      def process(_task, _sequence, step)
        message = step.handler_config.fetch('message', 'this step always fails')
        raise TaskerWorker::PermanentError.new(message, error_code: 'always_fails')
      end
    end

    # Fails while attempt ≤ handler_config.failures (default 1), then succeeds.
    class FlakyHandler < TaskerWorker::StepHandler
      def process(_task, _sequence, step)
        failures = step.handler_config.fetch('failures', 1)
        return { 'attempt' => step.attempt } if step.attempt > failures

        raise TaskerWorker::RetryableError.new("attempt #{step.attempt} fails, #{failures} do",
                                               retry_after: step.handler_config['retry_after_seconds'])
      end
    end

    # Kills its own process while attempt ≤ handler_config.crashes (default 0).
    class CrashHandler < TaskerWorker::StepHandler
      def process(_task, _sequence, step)
        Process.kill('KILL', Process.pid) if step.attempt <= step.handler_config.fetch('crashes', 0)
        { 'attempt' => step.attempt }
      end
    end
  end
end
