# frozen_string_literal: true

require 'spec_helper'
Dir[File.join(SDK_ROOT, '{samples,examples}', '*.rb')].each { |file| require file }

RSpec.describe TaskerWorker::Testing do
  def run(handler, **rest) = described_class.run_step(handler, **rest)

  it 'runs one handler as a worker would' do
    result = run(Samples::EchoHandler, context: { order: { id: 1 } }, previous_results: { p: { v: 1 } },
                                       attempt: 2)
    expect(result.status).to eq('completed')
    expect(result.output).to eq('context' => { 'order' => { 'id' => 1 } },
                                'previous_results' => { 'p' => { 'v' => 1 } }, 'attempt' => 2)
  end

  it 'shows handlers frozen data and what they may ask' do
    handler = Class.new do
      def initialize(config:); end

      def process(task, sequence, step)
        [task.context['a'], sequence.get_results(:p),
         sequence.find_step_by_name('p').name, sequence.find_step_by_name('x'),
         step.cancelled?, step.idempotency_key, step.handler_config]
      end
    end
    expect(run(handler, context: { a: 1 }, previous_results: { p: 2 }, cancelled: true,
                        handler_config: { c: 1 }).output)
      .to eq([1, 2, 'p', nil, true, 'test-1', { 'c' => 1 }])
    mutating = Class.new(handler) { define_method(:process) { |task, *| task.context['a'] = 2 } }
    expect(run(mutating,
               context: { a: 1 }).error).to include('error_type' => 'FrozenError', 'retryable' => false)
  end

  it 'refuses to ask for the results of a stranger' do
    asking = Class.new(TaskerWorker::StepHandler) do
      def process(task, sequence, _step) = sequence.get_results(task.context['name'])
    end
    previous = { plan: { a: 1 }, empty: nil }
    expect(run(asking, context: { name: 'plan' }, previous_results: previous).output).to eq('a' => 1)
    expect(run(asking, context: { name: 'empty' }, previous_results: previous).status).to eq('completed')
    expect(run(asking, context: { name: 'paln' }, previous_results: previous).error)
      .to include('error_type' => 'NotFoundError', 'retryable' => false,
                  'message' => '"paln" is neither a direct parent of this step nor in its results_from; ' \
                               'there are results of: empty, plan',
                  'context' => { 'resource_type' => 'step_results' })
    expect(run(asking, context: { name: 'x' }).error['message']).to include('none, since this step has no')
  end

  it 'lets process_results reshape the output' do
    handler = Class.new(TaskerWorker::StepHandler) do
      def process(*) = 5

      def process_results(step, output,
                          initial)
        { 'step' => step.name, 'doubled' => output * 2, 'initial' => initial }
      end
    end
    expect(run(handler, step_name: 's').output).to eq('step' => 's', 'doubled' => 10, 'initial' => nil)
  end

  it 'survives a handler that exits or recurses for ever' do
    handler = Class.new(TaskerWorker::StepHandler) { define_method(:process) { |*| exit } }
    expect(run(handler).status).to eq('failed')
    endless = Class.new(TaskerWorker::StepHandler) { def process(*) = process }
    expect(run(endless).error['error_type']).to eq('SystemStackError')
  end

  # What the child that a handler forked came to, as the parent sees it.
  def forking(&in_child)
    klass = Class.new(TaskerWorker::StepHandler) do
      define_method(:process) do |*|
        pid = fork
        pid ? Process.wait2(pid).last.exitstatus : in_child.call
      end

      def process_results(_step, output, _initial)
        # A child that came as far as here would be a second worker.
        exit!(77) unless output.is_a?(Integer)
        output
      end
    end
    run(klass).output
  end

  it 'ends a forked child that comes back out of its handler' do
    expect(forking { {} }).to eq(0)
    expect(forking { at_exit { exit!(78) } }).to eq(0)
    expect(forking { raise 'in the child' }).to eq(1)
    expect(forking { exit(3) }).to eq(3)
    expect(forking { throw(:out) }).to eq(1)
  end

  it 'runs the samples' do
    expect(run(Samples::RetryHandler, attempt: 1).status).to eq('failed')
    expect(run(Samples::RetryHandler, attempt: 2).output).to eq('attempt' => 2)
    expect(run(Samples::SlowHandler, handler_config: { sleep_ms: 1 }).output).to eq('slept_ms' => 1)
    expect(run(Samples::SlowHandler, cancelled: true).status).to eq('failed')
    expect(run(Samples::CrashHandler).output['survived']).to be(true)
    expect(JSON.generate(run(Bench::NoopHandler).output).bytesize).to be_between(180, 220)
  end

  it 'crashes only a process that asked for it' do
    pid = fork { described_class.run_step(Samples::CrashHandler, context: { crash: true }) }
    expect(Process.wait2(pid).last.termsig).to eq(Signal.list['KILL'])
  end

  describe 'a whole template' do
    around { |example| Dir.mktmpdir { |dir| @file = File.join(dir, 't.yaml') and example.run } }

    def template(steps)
      File.write(@file,
                 YAML.dump('name' => 't', 'namespace_name' => 'n', 'version' => '1.0.0',
                           'step_templates' => steps))
    end

    def step(name, handler, *parents, config: {}, **rest)
      { 'name' => name, 'handler_class' => "Patterns::StepHandlers::#{handler}",
        'depends_on_steps' => parents, 'handler_config' => config }.merge(rest.transform_keys(&:to_s))
    end

    it 'runs a diamond whose value proves the data flow, in any order of writing' do
      template([step('sum', 'SumHandler', 'add', 'mul'),
                step('add', 'AddHandler', 'start', config: { 'amount' => 4 }),
                step('mul', 'MultiplyHandler', 'start', config: { 'factor' => 3 }),
                step('start', 'StartHandler')])
      run = described_class.run_template(@file, context: { value: 6 })
      expect(run.state).to eq('complete')
      expect(run.results['sum']).to eq('value' => 28, 'count' => 2)
    end

    it 'retries, stubs what runs elsewhere, and stops behind a failure' do
      template([step('flaky', 'FlakyHandler', config: { 'failures' => 2 }),
                step('remote', 'Elsewhere', 'flaky'),
                step('bad', 'FailHandler', 'remote'), step('after', 'EchoHandler', 'bad')])
      remote = ->(_task, sequence, _step) { sequence.previous_results.transform_values { 1 } }
      run = described_class.run_template(@file, stubs: { 'remote' => remote })
      expect(run.state).to eq('error')
      expect(run.steps.transform_values { |s| [s.state, s.attempts] })
        .to eq('flaky' => ['complete', 3], 'remote' => ['complete', 1], 'bad' => ['error', 1],
               'after' => ['pending', 0])
      expect(run.results['remote']).to eq('flaky' => 1)
    end

    it 'gives up at the retry limit' do
      template([step('flaky', 'FlakyHandler', config: { 'failures' => 9 }, default_retry_limit: 2)])
      expect(described_class.run_template(@file).steps['flaky']).to have_attributes(state: 'error',
                                                                                    attempts: 2)
    end

    it 'takes outputs, callables, classes and exceptions as stubs, by the names of steps' do
      template([step('a', 'Elsewhere'), step('b', 'Elsewhere', 'a')])
      results = lambda do |a|
        add = ->(_task, sequence, _step) { { 'v' => sequence.get_results('a')['v'] + 1 } }
        described_class.run_template(@file, stubs: { a: a, 'b' => add })
      end
      expect(results.call({ v: 1 }).results['b']).to eq('v' => 2)
      ones = Class.new(TaskerWorker::StepHandler) { def process(*) = { 'v' => 5 } }
      expect(results.call(ones).results['b']).to eq('v' => 6)
      failed = results.call(TaskerWorker::PermanentError.new('no', error_code: 'x'))
      expect(failed.steps['a'].result.error['error_code']).to eq('x')
      { 'other' => /there is no step other to stub\z/, 'aa' => /no step aa to stub; did you mean a\?/,
        'Patterns::StepHandlers::Elsewhere' => /name of its step: a, b/ }.each do |name, message|
        expect { described_class.run_template(@file, stubs: { 'a' => 1, name => 1 }) }
          .to raise_error(TaskerWorker::ConfigurationError, message)
      end
    end

    it 'refuses a context that no task can have, and a schema that cannot be used' do
      File.write(@file, <<~YAML)
        name: t
        namespace_name: n
        version: 1.0.0
        schema: { required: [id], properties: { items: { items: { properties: { n: { type: integer } } } } } }
        step_templates: [{ name: a, handler_class: "X" }]
      YAML
      run = ->(context) { described_class.run_template(@file, stubs: { 'a' => 1 }, context: context) }
      expect(run.call({ id: 1 }).state).to eq('complete')
      expect { run.call({ items: [{ n: 1 }, { n: '2' }] }) }
        .to raise_error(TaskerWorker::ConfigurationError,
                        /no task can have this context: id is missing; items\[1\]\.n must be of type integer/)
      File.write(@file, File.read(@file).sub('schema: {', 'schema: { $ref: "#",'))
      expect { run.call({ id: 1 }) }
        .to raise_error(TaskerWorker::ConfigurationError, /the schema cannot be used/)
    end

    it 'explains a run' do
      template([step('a', 'X'), step('b', 'X', 'a', default_retry_limit: 2), step('c', 'X', 'a', 'b')])
      flaky = lambda do |_task, _sequence, step|
        raise TaskerWorker::RetryableError, 'busy' if step.attempt == 1

        {}.fetch('nope')
      end
      run = described_class.run_template(@file, stubs: { 'a' => { 'text' => 'ü' }, 'b' => flaky, 'c' => 1 })
      expect(run.inspect).to eq('#<n/t error: a complete, b error, c pending>')
      expect(run.steps['a'].result.inspect).to eq('#<completed {"text":"ü"}>')
      expect(run.steps['b'].inspect).to match(/\A#<b error after 2 attempts: KeyError: .*nope.*\(testing_/)
      lines = run.explain.lines(chomp: true)
      expect(lines.first(2)).to eq(['n/t: error', '  a: complete, 1 attempt'])
      expect(lines[3]).to eq('    attempt 1 failed: RetryableError: busy')
      expect(lines[4]).to match(/\A      .*testing_spec\.rb:\d+:in /)
      expect(lines.last).to eq('  c: pending, waits for b')
    end

    it 'names a missing handler' do
      template([step('x', 'Nowhere')])
      expect do
        described_class.run_template(@file)
      end.to raise_error(TaskerWorker::ConfigurationError, /step x: .*Nowhere/)
    end
  end
end

RSpec.describe OrderFulfillment::StepHandlers do
  let(:order) do
    { order_id: 'o-1', customer: { id: 1, email: 'a@b' }, payment: { method: 'card', card_token: token },
      items: [{ sku: 'a', quantity: 2, unit_price_cents: 150 },
              { sku: 'b', quantity: 1, unit_price_cents: 99 }],
      shipping: { address: 'x', country: country } }
  end
  let(:token) { 'tok_ok' }
  let(:country) { 'DE' }

  def run(handler, **rest) = TaskerWorker::Testing.run_step(handler, context: order, **rest)

  it 'carries an order through' do
    validated = run(described_class::ValidateOrderHandler)
    expect(validated.output).to include('order_total_cents' => 399, 'item_count' => 3)
    reserved = run(described_class::ReserveInventoryHandler)
    again = run(described_class::ReserveInventoryHandler, attempt: 2)
    expect(again.output).to eq(reserved.output)
    paid = run(described_class::ProcessPaymentHandler,
               previous_results: { validate_order: validated.output })
    expect(paid.output).to include('amount_cents' => 399, 'status' => 'captured')
    shipped = run(described_class::ShipOrderHandler, previous_results: { process_payment: paid.output })
    expect(shipped.output).to include('carrier' => 'DHL',
                                      'ship_to' => { 'address' => 'x',
                                                     'country' => 'DE' })
  end

  it 'refuses bad orders for good, naming the field' do
    expect(run(described_class::ValidateOrderHandler, handler_config: { max_items: 1 }).error)
      .to include('error_type' => 'ValidationError', 'context' => { 'field' => 'items' })
    order[:items][1][:quantity] = 0
    expect(run(described_class::ValidateOrderHandler).error['context']).to eq('field' => 'items[1].quantity')
    order[:items] = []
    expect(run(described_class::ValidateOrderHandler).status).to eq('error')
  end

  context 'with an unknown country' do
    let(:country) { 'XX' }

    it('is refused') { expect(run(described_class::ValidateOrderHandler).error['message']).to include('XX') }
  end

  context 'with a flaky gateway' do
    let(:token) { 'tok_flaky' }

    it 'fails once and then captures' do
      previous = { validate_order: { order_total_cents: 5 } }
      expect(run(described_class::ProcessPaymentHandler, previous_results: previous)).to be_retryable
      expect(run(described_class::ProcessPaymentHandler, previous_results: previous,
                                                         attempt: 2).output).to include('amount_cents' => 5)
    end
  end

  context 'with a declined card' do
    let(:token) { 'tok_declined' }

    it 'fails for good' do
      result = run(described_class::ProcessPaymentHandler,
                   previous_results: { validate_order: { order_total_cents: 5 } })
      expect([result.status, result.error['error_code']]).to eq(%w[error card_declined])
    end
  end
end
