# frozen_string_literal: true

require 'tasker_worker/testing'
require 'stringio'
require 'tmpdir'

# Secret references: resolved when a handler is built, unknown ones refuse the step, values are never shown.
RSpec.describe TaskerWorker::Secrets do
  let(:value) { 'sk-live-4eC39HqLyjW' }
  let(:reference) { { '$secret' => 'stripe/api_key' } }
  let(:mask) { described_class::MASK }
  let(:charge) do
    Class.new(TaskerWorker::StepHandler) do
      def process(_task, _sequence, step)
        { 'ends' => config['api_key'][-4..], 'step_has' => step.handler_config['api_key'] }
      end
    end
  end

  around { |example| Dir.mktmpdir { |dir| (@dir = dir) && example.run } }

  def secrets(directory = nil, **env) = described_class.new(directory, env: env.transform_keys(&:to_s))

  def charge_with(secrets)
    TaskerWorker::Testing.run_step(charge, handler_config: { api_key: reference }, secrets: secrets)
  end

  # The secrets of this process, for one example.
  def share(made)
    allow(described_class).to receive(:shared).and_return(made)
    made
  end

  it 'takes a folder before the environment, and that before a block' do
    made = secrets(@dir, TASKER_SECRET_STRIPE_API_KEY: 'of the environment')
    made.provider = ->(name) { { 'stripe/api_key' => 'of the block', 'only' => 'known to it' }[name] }
    expect(made.value('stripe/api_key')).to eq('of the environment')
    Dir.mkdir(File.join(@dir, 'stripe'))
    File.write(File.join(@dir, 'stripe', 'api_key'), "of the file\n")
    expect([made.value('stripe/api_key'), made.value('only')]).to eq(['of the file', 'known to it'])
  end

  { "a\n" => 'a', "a\r\n" => 'a', "a\n\n" => "a\n", ' a ' => ' a ' }.each do |written, read|
    it "reads #{read.inspect} from a file with #{written.inspect}" do
      File.binwrite(File.join(@dir, 'one'), written)
      expect(secrets(@dir).value('one')).to eq(read)
    end
  end

  %w[one deep/er/one one/below].each do |name|
    it "says what to do about #{name}, which is unknown" do
      File.write(File.join(@dir, 'one'), "\n") # empty: none
      expect { secrets(@dir).value(name) }
        .to raise_error(TaskerWorker::SecretError,
                        %r{\Athere is no secret #{name}: write it into #{@dir}/#{name}, or set })
      expect { secrets.value(name) }
        .to raise_error(TaskerWorker::SecretError, /set TASKER_SECRET_.* or start it with --secrets-dir/)
    end
  end

  it 'refuses a file that is no text or too large, without its content' do
    File.binwrite(File.join(@dir, 'binary'), "\xFF\xFE#{value}".b)
    File.write(File.join(@dir, 'large'), 'x' * ((64 * 1024) + 1))
    %w[binary large].each do |name|
      expect { secrets(@dir).value(name) }
        .to raise_error(TaskerWorker::SecretError) { |error| expect(error.message).not_to include(value) }
    end
  end

  it 'resolves a configuration at every level, as a copy' do
    made = secrets(TASKER_SECRET_A: 'first', TASKER_SECRET_B_PEM: 'second')
    config = { 'x' => { '$secret' => 'a' }, 'list' => [{ '$secret' => 'b.pem' }, 1],
               'plain' => { 'a' => '$secret' } }
    expect(made.resolved(config)).to eq('x' => 'first', 'list' => ['second', 1],
                                        'plain' => { 'a' => '$secret' })
    expect(config['x']).to eq('$secret' => 'a')
  end

  ['', '..', '../a', 'a/..', '/a', 'a/', 'a//b', 'a b', "a\n", 'ä', 5, nil, ['a'], 'a' * 201].each do |name|
    it "refuses the name #{name.inspect[0, 20]} for good" do
      expect { secrets.resolved('key' => { '$secret' => name }) }
        .to raise_error(TaskerWorker::PermanentError, /a secret reference is/) do |error|
          expect(error.error_code).to eq('bad_secret_reference')
        end
    end
  end

  it 'refuses a reference with other keys' do
    expect { secrets.resolved('key' => { '$secret' => 'a', 'plain' => true }) }
      .to raise_error(TaskerWorker::PermanentError)
  end

  it 'gives the handler the value, and leaves the reference in the step' do
    result = charge_with({ 'stripe/api_key' => value })
    expect(result.output).to eq('ends' => 'LyjW', 'step_has' => reference)
  end

  it 'fails the attempt of an unknown one in a way that may pass' do
    result = charge_with({})
    expect([result.status, result.error['error_code']]).to eq(%w[failed unknown_secret])
    expect(result.error['message']).to start_with('there is no secret stripe/api_key: set TASKER_SECRET_')
  end

  it 'finds in a later attempt what was added' do
    made = secrets
    entry = TaskerWorker::Registry::Entry.new(charge, { 'api_key' => reference }, secrets: made)
    expect { entry.object }.to raise_error(TaskerWorker::SecretError)
    made.provider = ->(_name) { value }
    expect(entry.object.config).to eq('api_key' => value)
  end

  it 'is shown as a mask in errors, backtraces and log lines' do
    share(secrets(TASKER_SECRET_STRIPE_API_KEY: value)).value('stripe/api_key')
    error = begin
      begin
        raise IOError, "cause #{value}"
      rescue IOError
        context = { 'header' => ["Bearer #{value}"], value => 1 }
        raise TaskerWorker::RetryableError.new("401 for #{value}", context: context)
      end
    rescue TaskerWorker::RetryableError => e
      TaskerWorker::ErrorReport.from(e).last
    end
    expect(error['message']).to eq("401 for #{mask}")
    expect(error['context']).to eq('header' => ["Bearer #{mask}"], mask => 1)
    expect(error.to_s).not_to include(value)
    io = StringIO.new
    TaskerWorker::Log.new(io: io).info("key #{value}", more: value)
    expect(io.string).to include(mask)
    expect(io.string).not_to include(value)
  end

  it 'masks the lines of a long value too, and short values never' do
    pem = "-----BEGIN KEY-----\nMIIEvQIBADANBgkqhkiG\nshort\n"
    made = secrets(TASKER_SECRET_PEM: pem, TASKER_SECRET_PIN: '12')
    made.value('pem')
    made.value('pin')
    expect(made.mask('see MIIEvQIBADANBgkqhkiG of 12 short')).to eq("see #{mask} of 12 short")
    expect(made.mask(pem.inspect)).not_to include('MIIEvQ')
  end

  it 'stops the start when a template names one that is unknown' do
    stub_const('SecretCharge', charge)
    made = share(secrets)
    File.write(File.join(@dir, 'b.yaml'), <<~YAML)
      namespace_name: a
      name: b
      version: 1.0.0
      step_templates:
        - { name: c, handler_class: SecretCharge, handler_config: { api_key: { $secret: stripe/api_key }, v: "${NO}" } }
        - { name: elsewhere, handler_class: Other, handler_config: { x: { $secret: unknown } } }
    YAML
    steps = TaskerWorker::Templates.load(@dir).steps
    served = TaskerWorker::Registry.new({ 'SecretCharge' => SecretCharge })
    expect { served.check_secrets(steps) }
      .to raise_error(TaskerWorker::ConfigurationError,
                      /b.yaml: step c: handler_config: there is no secret stripe/)
    made.provider = ->(_name) { value }
    served.check_secrets(steps)
  end
end
