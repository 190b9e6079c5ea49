# frozen_string_literal: true

# Handlers of the system tests of what both SDKs share; sdk_handlers.py has the same.
module Sdk
  # Waits until the file `until` is there; then tells what it knows of its attempts.
  class SnoozeHandler < TaskerWorker::StepHandler
    def process(task, _sequence, step)
      unless File.exist?(task.context['until'])
        raise TaskerWorker::SnoozeError.new(task.context['seconds'], 'the bank is closed')
      end

      { 'attempt' => step.attempt, 'tries_left' => step.tries_left }
    end
  end

  # Fails until its last try.
  class FailHandler < TaskerWorker::StepHandler
    def process(_task, _sequence, step)
      raise TaskerWorker::RetryableError.new("#{step.tries_left} left", retry_after: 0) if step.tries_left.positive?

      { 'attempt' => step.attempt, 'retry_limit' => step.retry_limit }
    end
  end

  # Tells what was delivered to it, unless it is told to fail.
  class AskHandler < TaskerWorker::StepHandler
    def process(task, sequence, step)
      raise TaskerWorker::PermanentError, 'told to' if task.context.fetch('fail', []).include?(step.name)

      ask = task.context['ask']
      return { 'asked' => sequence.get_results(ask) } if step.name == 'publish' && ask

      { 'by' => step.name, 'got' => sequence.previous_results }
    end
  end

  # Uses its secret, and says it in an error if it is told to.
  class SecretHandler < TaskerWorker::StepHandler
    def process(task, _sequence, step)
      raise TaskerWorker::RetryableError.new("refused: #{config['api_key']}", retry_after: 0) if task.context['leak']

      { 'length' => config['api_key'].length, 'step' => step.handler_config['api_key'] }
    end
  end
end
