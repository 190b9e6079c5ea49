# frozen_string_literal: true

require_relative '../tasker_worker'
require_relative 'testing/context_schema'
require_relative 'testing/results'

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
    # The orchestrator's code for a step that was snoozed too often.
    SNOOZES_EXHAUSTED = 'snoozes_exhausted'

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
    # Without +tries_left+ the step has +retry_limit+ − +attempt+. +secrets+ are what {"$secret": NAME} stands
    # for, by name.
    def run_step(handler, context: {}, previous_results: {}, handler_config: {}, secrets: nil, attempt: 1,
                 retry_limit: 3, tries_left: nil, step_name: 'step', task_name: 'task', namespace: 'test',
                 timeout_ms: 30_000, step_id: 1, task_id: 1, version: '1.0.0', cancelled: false)
      config = as_json(handler_config)
      entry = entry_of(handler, config, secrets)
      flag = CancelFlag.new
      flag.set('test') if cancelled
      task = Task.new(task_id: task_id, namespace: namespace, name: task_name, version: version,
                      context: as_json(context))
      sequence = Sequence.new(sequence_number: 1, total_steps: 1, previous_results: as_json(previous_results))
      step = Step.new(step_id: step_id, name: step_name, handler_class: name_of(handler),
                      handler_config: config, attempt: attempt, retry_limit: retry_limit,
                      tries_left: tries_left || [retry_limit - attempt, 0].max, timeout_ms: timeout_ms,
                      idempotency_key: "test-#{step_id}", claim_first: false, cancel_flag: flag)
      outcome = HandlerRun.new.run(entry, task, sequence, step)
      result_of(outcome, attempt)
    end

    # Runs all steps of a template in dependency order, each as often as its retry limit allows (a delay
    # before a retry is not waited for), and again after each snooze, up to its max_snoozes. +stubs+ stand for
    # the handlers of the steps they name: an output, a callable of (task, sequence, step), a class, or an
    # exception that each attempt raises. Raises ConfigurationError for a missing handler, a cycle, a stub
    # that names no step, results_from of no ancestor, and a context that the schema refuses.
    def run_template(file, context: {}, environment: nil, stubs: {}, secrets: nil, env: ENV)
      template = Templates.load_file(file, environment: environment, env: env)
      stubs = stubs.transform_keys(&:to_s)
      check_stubs(template, stubs, file)
      check_context(template, context, file)
      runs = {}
      in_order = ordered(template.steps, file)
      check_results_from(in_order, file)
      in_order.each_with_index do |step, index|
        given = { context: context, secrets: secrets, step_id: index + 1 }
        runs[step.name] = run_or_wait(step, runs, stubs, **given)
      end
      complete = runs.each_value.all? { |run| run.state == 'complete' }
      first = template.steps.first
      TemplateRun.new(name: "#{first&.namespace}/#{first&.task}", state: complete ? 'complete' : 'error',
                      steps: runs)
    end

    def run_or_wait(step, runs, stubs, **given)
      open = step.depends_on.reject { |name| runs.fetch(name).state == 'complete' }
      previous = (step.depends_on + step.results_from).to_h { |name| [name, runs.fetch(name).output] }
      return run_to_end(step, handler_of(step, stubs), previous_results: previous, **given) if open.empty?

      StepRun.new(name: step.name, state: 'pending', attempts: 0, history: [], waits_for: open, snoozes: 0)
    end

    def run_to_end(step, handler, **given)
      limit = step.retryable ? [step.retry_limit, 1].max : 1
      history = []
      loop do
        snoozes = history.count(&:snoozed?)
        tried = history.size - snoozes
        result = run_step(handler, **given, **facts_of(step), attempt: history.size + 1,
                                                              tries_left: limit - tried - 1)
        result = too_often(result, step.max_snoozes) if result.snoozed? && snoozes >= step.max_snoozes
        history << result
        break unless result.snoozed? || (result.retryable? && tried + 1 < limit)
      end
      story(step.name, history)
    end

    def facts_of(step)
      { handler_config: step.handler_config, retry_limit: [step.retry_limit, 1].max, step_name: step.name,
        task_name: step.task, namespace: step.namespace, version: step.version, timeout_ms: step.timeout_ms }
    end

    def story(name, history)
      last = history.last
      snoozes = history.count(&:snoozed?)
      StepRun.new(name: name, state: last.completed? ? 'complete' : 'error', attempts: history.size - snoozes,
                  result: last, history: history, waits_for: [], snoozes: snoozes)
    end

    # What the orchestrator makes of a snooze beyond the template's limit.
    def too_often(result, max_snoozes)
      message = "its handler asked to wait more often than max_snoozes allows (#{max_snoozes})"
      message += ": #{result.message}" unless result.message.empty?
      error = { 'message' => message, 'error_type' => 'SnoozeError', 'error_code' => SNOOZES_EXHAUSTED }
      StepResult.new(status: 'error', error: error, attempt: result.attempt,
                     execution_ms: result.execution_ms)
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

    def check_results_from(in_order, file)
      ancestors = {}
      in_order.each do |step|
        ancestors[step.name] = step.depends_on | step.depends_on.flat_map { |name| ancestors.fetch(name) }
        missing = (step.results_from - ancestors[step.name]).first or next

        hint = Handlers.did_you_mean(missing, ancestors[step.name])
        raise ConfigurationError, "#{file}: step #{step.name}: results_from names #{missing}, which is no " \
                                  "ancestor of it#{hint}"
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

    # A test's secrets are only those that it gives.
    def entry_of(handler, config, secrets)
      return Registry::Entry.of(handler) unless handler.is_a?(Class)
      return Registry::Entry.new(handler, config) if secrets.nil?

      own = Secrets.new(env: {})
      own.provider = ->(name) { secrets[name] }
      Registry::Entry.new(handler, config, secrets: own)
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
                     execution_ms: outcome.execution_ms,
                     wait_seconds: (outcome.retry_after if outcome.snoozed?), message: outcome.message.to_s)
    end

    def as_json(value)
      JSON.parse(Output.json(value), freeze: true)
    rescue Output::Refused => e
      raise ArgumentError, "not JSON: #{e.message}"
    end
  end
end
