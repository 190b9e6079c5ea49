# frozen_string_literal: true

module Samples
  # Returns the task's context, and what the parents returned.
  class EchoHandler < TaskerWorker::StepHandler
    def process(task, sequence, step)
      { 'context' => task.context, 'previous_results' => sequence.previous_results,
        'attempt' => step.attempt }
    end
  end
end
