# frozen_string_literal: true

module Samples
  # Takes `sleep_ms` (handler_config, default 1000), and stops early when it is cancelled.
  class SlowHandler < TaskerWorker::StepHandler
    SLICE_S = 0.05

    def process(_task, _sequence, step)
      deadline = TaskerWorker::Clock.now_ms + step.handler_config.fetch('sleep_ms', 1000)
      while (left_ms = deadline - TaskerWorker::Clock.now_ms).positive?
        raise TaskerWorker::RetryableError, "stopped: #{step.cancel_reason}" if step.cancelled?

        sleep([left_ms / 1000.0, SLICE_S].min)
      end
      { 'slept_ms' => step.handler_config.fetch('sleep_ms', 1000) }
    end
  end
end
