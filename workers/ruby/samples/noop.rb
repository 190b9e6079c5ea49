# frozen_string_literal: true

module Bench
  # For benchmarks: does nothing and returns about 200 bytes, so that what is measured is the system.
  class NoopHandler
    RESULT = { 'ok' => true, 'payload' => 'x' * 170 }.freeze

    def initialize(config:); end

    def process(_task, _sequence, _step) = RESULT
  end
end
