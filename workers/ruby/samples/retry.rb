# frozen_string_literal: true

module Samples
  # Fails the first `failures` attempts (handler_config, default 1), then succeeds.
  class RetryHandler < TaskerWorker::StepHandler
    def process(_task, _sequence, step)
      failures = step.handler_config.fetch('failures', 1)
      if step.attempt <= failures
        raise TaskerWorker::RetryableError.new("attempt #{step.attempt} of #{failures} that fail",
                                               retry_after: step.handler_config['retry_after_seconds'])
      end

      { 'attempt' => step.attempt }
    end
  end
end
