# frozen_string_literal: true

require 'digest'

# Handlers of tests/chaos/templates for the Ruby worker; the same exist in Python.
module Chaos
  # Waits up to handler_config.longest_ms, deaf to cancellation, and succeeds.
  class NapHandler < TaskerWorker::StepHandler
    def process(_task, _sequence, step)
      share = Digest::SHA256.hexdigest(step.idempotency_key)[0, 8].to_i(16) / 0xFFFFFFFF.to_f
      millis = share * step.handler_config.fetch('longest_ms')
      sleep(millis / 1000)
      { 'napped_ms' => millis.round }
    end
  end

  # Outlives its time-out while attempt ≤ handler_config.hangs, then succeeds at once.
  class HangHandler < TaskerWorker::StepHandler
    def process(_task, _sequence, step)
      config = step.handler_config
      sleep(config.fetch('hang_ms') / 1000.0) if step.attempt <= config.fetch('hangs')
      { 'attempt' => step.attempt }
    end
  end

  # Succeeds with an output of handler_config.bytes.
  class BulkHandler < TaskerWorker::StepHandler
    def process(_task, _sequence, step) = { 'text' => 'x' * step.handler_config.fetch('bytes') }
  end

  # An output that PostgreSQL cannot hold.
  class UnstorableHandler < TaskerWorker::StepHandler
    def process(_task, _sequence, _step) = { 'text' => "a\u0000b" }
  end
end
