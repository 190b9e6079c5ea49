# frozen_string_literal: true

# The steps of config/tasks/greeting.yaml. A handler may run more than once: see step.idempotency_key.
module Hello
  class GreetHandler < TaskerWorker::StepHandler
    def process(task, _sequence, _step)
      name = task.context['name']
      # It would fail again, so it is not tried again. Any other exception is.
      raise TaskerWorker::PermanentError.new('nobody to greet', error_code: 'no_name') if name.empty?

      { 'text' => "Hello, #{name}" }
    end
  end

  class ShoutHandler < TaskerWorker::StepHandler
    def process(_task, sequence, _step)
      { 'text' => sequence.get_results('greet')['text'].upcase }
    end
  end
end
