# frozen_string_literal: true

module Samples
  # Kills its own process with SIGKILL, but only when the context asks: { "crash": true }, or
  # { "crash": N } for the first N attempts.
  class CrashHandler < TaskerWorker::StepHandler
    def process(task, _sequence, step)
      asked = task.context['crash']
      Process.kill('KILL', Process.pid) if asked == true || (asked.is_a?(Integer) && step.attempt <= asked)
      { 'survived' => true, 'attempt' => step.attempt }
    end
  end
end
