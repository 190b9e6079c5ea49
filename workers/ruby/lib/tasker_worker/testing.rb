# frozen_string_literal: true

require_relative '../tasker_worker'

module TaskerWorker
  # Runs handlers in memory: the same code that runs them in a worker, without network, threads or
  # waiting. `require 'tasker_worker/testing'`.
  #
  #   result = TaskerWorker::Testing.run_step(ShipHandler, context: { 'order_id' => 1 },
  #                                           previous_results: { 'pay' => { 'amount_cents' => 5 } })
  #   result.status   # 'completed', 'failed' (would be retried) or 'error'
  #   result.output   # as the next step would see it: JSON types, string keys
  #
  #   run = TaskerWorker::Testing.run_template('config/tasks/orders.yaml', context: { … })
  #   run.state                      # 'complete' or 'error'
  #   run.steps['pay'].attempts      # 2
  module Testing
    # What one attempt came to. +error+ is the wire's error object (message, error_type, error_code,
    # retryable, retry_after_seconds, backtrace) or nil.
    StepResult = Struct.new(:status, :output, :error, :attempt, :execution_ms, keyword_init: true) do
      def completed? = status == 'completed'

      # Whether the orchestrator would try again (limits aside).
      def retryable? = status == 'failed' && error['retryable'] != false
    end

    # A step of a template run: its state ('complete', 'error', or 'pending' when a parent failed), its
    # attempts, its last StepResult.
    StepRun = Struct.new(:name, :state, :attempts, :result, keyword_init: true) do
      def output = result&.output
    end

    TemplateRun = Struct.new(:state, :steps, keyword_init: true) do
      def results = steps.transform_values(&:output)
    end

    module_function

    # Runs one attempt. +handler+: a class (built with config: handler_config) or an object.
    # Hashes may have symbol keys; handlers see what they would see in a worker: string keys, frozen.
    def run_step(handler, context: {}, previous_results: {}, handler_config: {}, attempt: 1, retry_limit: 3,
                 step_name: 'step', task_name: 'task', namespace: 'test', timeout_ms: 30_000, step_id: 1,
                 task_id: 1, cancelled: false)
      config = as_json(handler_config)
      object = handler.is_a?(Class) ? handler.new(config: config) : handler
      flag = CancelFlag.new
      flag.set('test') if cancelled
      task = Task.new(task_id: task_id, namespace: namespace, name: task_name, version: '1.0.0',
                      context: as_json(context))
      sequence = Sequence.new(sequence_number: 1, total_steps: 1, previous_results: as_json(previous_results))
      step = Step.new(step_id: step_id, name: step_name, handler_class: object.class.name || 'Anonymous',
                      handler_config: config, attempt: attempt, retry_limit: retry_limit,
                      timeout_ms: timeout_ms,
                      idempotency_key: "test-#{step_id}", claim_first: false, cancel_flag: flag)
      outcome = StepRunner.new.run(object, task, sequence, step)
      result_of(outcome, attempt)
    end

    # Runs all steps of a template in dependency order, each as often as its retry limit allows (a
    # delay before a retry is not waited for). +stubs+: step name → output, or a Proc called with
    # (context, previous_results), for steps whose handler is not in this process.
    # Raises ConfigurationError when a handler is missing or the steps form a cycle.
    def run_template(file, context: {}, environment: nil, stubs: {}, env: ENV)
      steps = TemplateSet.load_file(file, environment: environment, env: env).steps
      runs = {}
      ordered(steps, file).each_with_index do |step, index|
        parents = step.depends_on.map { |name| runs.fetch(name) }
        runs[step.name] =
          if parents.all? { |parent| parent.state == 'complete' }
            run_to_end(step, context, parents.to_h do |parent|
                                        [parent.name, parent.output]
                                      end, stubs, index + 1)
          else
            StepRun.new(name: step.name, state: 'pending', attempts: 0, result: nil)
          end
      end
      TemplateRun.new(state: if runs.each_value.all? do |run|
                                  run.state == 'complete'
                                end
                               'complete'
                             else
                               'error'
                             end, steps: runs)
    end

    def run_to_end(step, context, previous, stubs, step_id)
      handler = handler_of(step, stubs)
      result = nil
      1.upto([step.retry_limit, 1].max) do |attempt|
        result = run_step(handler, context: context, previous_results: previous,
                                   handler_config: step.handler_config,
                                   attempt: attempt, retry_limit: step.retry_limit, step_name: step.name,
                                   task_name: step.task, namespace: step.namespace,
                                   timeout_ms: step.timeout_ms,
                                   step_id: step_id)
        break unless result.retryable? && step.retryable
      end
      StepRun.new(name: step.name, state: result.completed? ? 'complete' : 'error', attempts: result.attempt,
                  result: result)
    end

    # Stands in for a handler that runs elsewhere.
    class Stub
      def initialize(answer)
        @answer = answer
      end

      def process(task, sequence, _step)
        @answer.respond_to?(:call) ? @answer.call(task.context, sequence.previous_results) : @answer
      end
    end

    def handler_of(step, stubs)
      return Stub.new(stubs[step.name]) if stubs.key?(step.name)

      registry = Registry.new(TemplateSet.new(File.dirname(step.file), [step]), only: [step.handler_class])
      registry.lookup(step.namespace, step.task, step.version, step.name, step.handler_class)
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
      JSON.parse(Output.encode(value), freeze: true)
    rescue Output::Unserialisable => e
      raise ArgumentError, "not JSON: #{e.message}"
    end
  end
end
