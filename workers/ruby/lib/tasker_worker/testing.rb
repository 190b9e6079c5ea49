# frozen_string_literal: true

require_relative '../tasker_worker'
require_relative 'testing/context_schema'

module TaskerWorker
  # Runs handlers in memory: the same code that runs them in a worker, without network, threads or
  # waiting. `require 'tasker_worker/testing'`.
  #
  #   result = TaskerWorker::Testing.run_step(ShipHandler, context: { 'order_id' => 1 },
  #                                           previous_results: { 'pay' => { 'amount_cents' => 5 } })
  #   result.status   # 'completed', 'failed' (would be retried) or 'error'
  #   result.output   # as the next step would see it: JSON types, string keys
  #
  #   run = TaskerWorker::Testing.run_template('config/tasks/orders.yaml', context: { … },
  #                                            stubs: { 'ship' => { 'carrier' => 'DHL' } })
  #   run.state                      # 'complete' or 'error'; run.explain says why
  #   run.steps['pay'].attempts      # 2
  module Testing
    SHOWN_CHARS = 200
    SHOWN_FRAMES = 3

    # The message of a report's error, with its type and code.
    def self.described(error)
      type, message, code = error.values_at('error_type', 'message', 'error_code')
      text = message.start_with?(type) ? message : "#{type}: #{message}"
      code ? "#{text} [#{code}]" : text
    end

    def self.shown(value)
      text = JSON.generate(value)
      text.length > SHOWN_CHARS ? "#{text[0, SHOWN_CHARS - 1]}…" : text
    end

    # What one attempt came to. +error+ is the wire's error object (message, error_type, error_code,
    # retryable, retry_after_seconds, backtrace) or nil.
    StepResult = Struct.new(:status, :output, :error, :attempt, :execution_ms, keyword_init: true) do
      def completed? = status == 'completed'

      # Whether the orchestrator would try again (limits aside).
      def retryable? = status == 'failed' && error['retryable'] != false

      def inspect = "#<#{status} #{error ? Testing.described(error) : Testing.shown(output)}>"
      alias_method :to_s, :inspect
    end

    # A step of a template run: its state ('complete', 'error', or 'pending' when a parent failed), its
    # attempts, its last StepResult, all of them (+history+), and the parents that a pending one waits for.
    StepRun = Struct.new(:name, :state, :attempts, :result, :history, :waits_for, keyword_init: true) do
      def output = result&.output

      # Lines for people: the outcome, why earlier attempts failed, and where the last one did.
      def explain
        earlier = history[0...-1].each_with_index.filter_map do |one, index|
          "  attempt #{index + 1} failed: #{Testing.described(one.error)}" if one.error
        end
        frames = (result&.error || {}).fetch('backtrace', []).first(SHOWN_FRAMES)
        ["#{name}: #{outcome}", *earlier, *frames.map { |line| "    #{line}" }]
      end

      def outcome
        return "pending, waits for #{waits_for.join(', ')}" if state == 'pending'

        count = attempts == 1 ? '1 attempt' : "#{attempts} attempts"
        error = result.error
        error ? "#{state} after #{count}: #{Testing.described(error)}" : "#{state}, #{count}"
      end

      def inspect = "#<#{name} #{outcome}>"
      alias_method :to_s, :inspect
    end

    # A run of a whole template.
    TemplateRun = Struct.new(:name, :state, :steps, keyword_init: true) do
      def results = steps.transform_values(&:output)

      # What became of each step, and why, for the message of an expectation.
      def explain
        lines = steps.values.flat_map(&:explain).map { |line| "  #{line}" }
        ["#{name}: #{state}", *lines].join("\n")
      end

      def inspect = "#<#{name} #{state}: #{steps.values.map { |run| "#{run.name} #{run.state}" }.join(', ')}>"
      alias_method :to_s, :inspect
    end

    # Stands in for the handler of a step: an output, a callable of (task, sequence, step), or an exception.
    class Stub
      def initialize(answer)
        @answer = answer
      end

      def process(task, sequence, step)
        raise @answer if @answer.is_a?(Exception)

        @answer.respond_to?(:call) ? @answer.call(task, sequence, step) : @answer
      end
    end

    module_function

    # Runs one attempt. +handler+: a class (built with config: handler_config) or an object.
    # Hashes may have symbol keys; handlers see what they would see in a worker: string keys, frozen.
    def run_step(handler, context: {}, previous_results: {}, handler_config: {}, attempt: 1, retry_limit: 3,
                 step_name: 'step', task_name: 'task', namespace: 'test', timeout_ms: 30_000, step_id: 1,
                 task_id: 1, version: '1.0.0', cancelled: false)
      config = as_json(handler_config)
      entry = handler.is_a?(Class) ? Registry::Entry.new(handler, config) : Registry::Entry.of(handler)
      flag = CancelFlag.new
      flag.set('test') if cancelled
      task = Task.new(task_id: task_id, namespace: namespace, name: task_name, version: version,
                      context: as_json(context))
      sequence = Sequence.new(sequence_number: 1, total_steps: 1, previous_results: as_json(previous_results))
      step = Step.new(step_id: step_id, name: step_name, handler_class: name_of(handler),
                      handler_config: config, attempt: attempt, retry_limit: retry_limit,
                      timeout_ms: timeout_ms,
                      idempotency_key: "test-#{step_id}", claim_first: false, cancel_flag: flag)
      outcome = HandlerRun.new.run(entry, task, sequence, step)
      result_of(outcome, attempt)
    end

    # Runs all steps of a template in dependency order, each as often as its retry limit allows (a delay
    # before a retry is not waited for). +stubs+ stand for the handlers of the steps they name: an output, a
    # callable of (task, sequence, step), a class, or an exception that each attempt raises. Raises
    # ConfigurationError for a missing handler, a cycle, a stub that names no step, and a context that the
    # schema refuses.
    def run_template(file, context: {}, environment: nil, stubs: {}, env: ENV)
      template = Templates.load_file(file, environment: environment, env: env)
      stubs = stubs.transform_keys(&:to_s)
      check_stubs(template, stubs, file)
      check_context(template, context, file)
      runs = {}
      ordered(template.steps, file).each_with_index do |step, index|
        parents = step.depends_on.map { |name| runs.fetch(name) }
        runs[step.name] = run_or_wait(step, context, parents, stubs, index + 1)
      end
      complete = runs.each_value.all? { |run| run.state == 'complete' }
      first = template.steps.first
      TemplateRun.new(name: "#{first&.namespace}/#{first&.task}", state: complete ? 'complete' : 'error',
                      steps: runs)
    end

    def run_or_wait(step, context, parents, stubs, step_id)
      open = parents.reject { |parent| parent.state == 'complete' }.map(&:name)
      previous = parents.to_h { |parent| [parent.name, parent.output] }
      return run_to_end(step, context, previous, stubs, step_id) if open.empty?

      StepRun.new(name: step.name, state: 'pending', attempts: 0, history: [], waits_for: open)
    end

    def run_to_end(step, context, previous, stubs, step_id)
      handler = handler_of(step, stubs)
      history = []
      1.upto([step.retry_limit, 1].max) do |attempt|
        history << run_step(handler, context: context, previous_results: previous,
                                     handler_config: step.handler_config,
                                     attempt: attempt, retry_limit: step.retry_limit, step_name: step.name,
                                     task_name: step.task, namespace: step.namespace, version: step.version,
                                     timeout_ms: step.timeout_ms, step_id: step_id)
        break unless history.last.retryable? && step.retryable
      end
      last = history.last
      StepRun.new(name: step.name, state: last.completed? ? 'complete' : 'error', attempts: history.size,
                  result: last, history: history, waits_for: [])
    end

    def check_stubs(template, stubs, file)
      names = template.steps.map(&:name)
      stubs.each_key do |name|
        next if names.include?(name)

        same = template.steps.select { |step| step.handler_class == name }.map(&:name)
        hint = "; a stub has the name of its step: #{same.join(', ')}" unless same.empty?
        hint ||= Handlers.did_you_mean(name, names)
        raise ConfigurationError, "#{file}: there is no step #{name} to stub#{hint}"
      end
    end

    def check_context(template, context, file)
      return if template.schema.nil?

      problems = ContextSchema.problems(template.schema, as_json(context))
      return if problems.empty?

      raise ConfigurationError, "#{file}: no task can have this context: #{problems.join('; ')}"
    rescue ContextSchema::Unusable => e
      raise ConfigurationError, "#{file}: #{e.message}"
    end

    def handler_of(step, stubs)
      if stubs.key?(step.name)
        answer = stubs[step.name]
        return answer.is_a?(Class) ? answer : Stub.new(answer)
      end

      klass = Handlers.resolve(step.handler_class)
      Handlers.check(step.handler_class, klass) if klass
      klass || raise(ConfigurationError, "#{step.file}: step #{step.name}: handler class " \
                                         "#{step.handler_class} is not defined here; require its file or " \
                                         'pass a stub')
    end

    def name_of(handler)
      Handlers.name_of(handler.is_a?(Class) ? handler : handler.class) || 'Anonymous'
    end

    def ordered(steps, file)
      rest = steps.dup
      done = []
      until rest.empty?
        names = done.map(&:name)
        ready, rest = rest.partition { |step| (step.depends_on - names).empty? }
        if ready.empty?
          raise ConfigurationError,
                "#{file}: unknown dependency or cycle among #{rest.map(&:name).join(', ')}"
        end

        done.concat(ready)
      end
      done
    end

    def result_of(outcome, attempt)
      output = outcome.output_json && JSON.parse(outcome.output_json, freeze: true)
      StepResult.new(status: outcome.status, output: output, error: outcome.error, attempt: attempt,
                     execution_ms: outcome.execution_ms)
    end

    def as_json(value)
      JSON.parse(Output.json(value), freeze: true)
    rescue Output::Refused => e
      raise ArgumentError, "not JSON: #{e.message}"
    end
  end
end
