# frozen_string_literal: true

module TaskerWorker
  # Optional base of handlers. Any class works that takes `new(config:)` and answers
  # `process(task, sequence, step)`. One object serves all attempts of its step, from several threads
  # at once: keep no state of a run in instance variables.
  class StepHandler
    # The step's handler_config from the template (environment override applied), frozen.
    attr_reader :config

    def initialize(config: {})
      @config = config
    end

    # Returns the output of the step: JSON-able (Hash with String or Symbol keys, Array, String,
    # finite number, true, false, nil). Raise RetryableError or PermanentError to fail.
    def process(_task, _sequence, _step)
      raise NotImplementedError, "#{self.class.name} does not define process(task, sequence, step)"
    end
  end
end
