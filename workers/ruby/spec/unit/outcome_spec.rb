# frozen_string_literal: true

require 'spec_helper'
require 'bigdecimal'

RSpec.describe TaskerWorker::ErrorReport do
  def report(&block)
    block.call
  rescue Exception => e # rubocop:disable Lint/RescueException
    described_class.from(e)
  end

  def permanent(message, **rest) = described_class.from(TaskerWorker::PermanentError.new(message, **rest))[1]

  sdk = TaskerWorker
  {
    sdk::RetryableError.new('m',
                            retry_after: 3) => ['failed',
                                                { 'retryable' => true, 'retry_after_seconds' => 3,
                                                  'error_type' => 'RetryableError' }],
    sdk::TimeoutError.new('m',
                          timeout_duration: 5) => ['failed',
                                                   { 'retryable' => true, 'error_type' => 'TimeoutError' }],
    sdk::NetworkError.new('m',
                          status_code: 503) => ['failed',
                                                { 'retryable' => true, 'error_code' => 'HTTP_503' }],
    sdk::PermanentError.new('m', error_code: 'x') => ['error', { 'retryable' => false, 'error_code' => 'x' }],
    sdk::ValidationError.new('m',
                             field: 'a.b') => ['error',
                                               { 'retryable' => false, 'error_code' => 'validation_error',
                                                 'context' => { 'field' => 'a.b' } }],
    sdk::NotFoundError.new('m',
                           resource_type: 'order') => ['error',
                                                       { 'retryable' => false, 'error_code' => 'not_found' }],
    ArgumentError.new('m') => ['error', { 'retryable' => false, 'error_type' => 'ArgumentError' }],
    TypeError.new('m') => ['error', { 'retryable' => false }],
    NameError.new('m') => ['error', { 'retryable' => false }],
    NoMethodError.new('m') => ['error', { 'retryable' => false, 'error_type' => 'NoMethodError' }],
    FrozenError.new('m') => ['error', { 'retryable' => false }],
    NotImplementedError.new('m') => ['error', { 'retryable' => false }],
    StandardError.new('m') => ['failed', { 'retryable' => true, 'error_type' => 'StandardError' }],
    KeyError.new('m') => ['failed', { 'retryable' => true }],
    IOError.new('m') => ['failed', { 'retryable' => true }],
    SystemStackError.new('m') => ['failed', { 'retryable' => true }],
    LoadError.new('m') => ['error', { 'retryable' => false, 'error_code' => 'programming_error' }]
  }.each do |exception, (status, fields)|
    it "reports #{exception.class} as #{status}" do
      result = report { raise exception }
      expect(result[0]).to eq(status)
      expect(result[1]).to include(fields)
      # What a handler raises on purpose stands as it is; other errors have their type and place.
      expect(result[1]['message']).to match(
        exception.is_a?(sdk::StepError) ? /\Am\z/ : /\A#{exception.class}: m \(outcome_spec\.rb:\d+\)\z/
      )
    end
  end

  it 'decides as the table that all SDKs share' do
    readme = File.read(File.expand_path('../README.md', SDK_ROOT), encoding: Encoding::UTF_8)
    rows = readme[/^\| Python \| Ruby \|.*?\n\n/m].lines.grep(/\A\|/).drop(2).map do |row|
      row.split('|').map(&:strip)[2, 2]
    end
    expect(rows.size).to be > 8
    rows.each do |names, status|
      names.scan(/`([\w:]+)`/).flatten.each do |name|
        klass = sdk.const_defined?(name) ? sdk.const_get(name) : Object.const_get(name)
        expect([name, report { raise klass, 'm' }[0]]).to eq([name, status.delete('`')])
      end
    end
  end

  texts = JSON.parse(File.read(File.expand_path('../conformance/texts.json', SDK_ROOT)))
  texts.each do |vector|
    it "cleans texts as every SDK does: #{vector['name']}" do
      raw = (vector['raw'] || vector['points'].pack('U*')) * vector.fetch('times', 1)
      clean = "#{vector['begin']}#{vector['clean'] * vector.fetch('clean_times', 1)}#{vector['end']}"
      error = case vector['kind']
              when 'message' then report { raise TaskerWorker::RetryableError, raw }[1]['message']
              when 'name' then permanent('m', error_code: raw)['error_code']
              else report { raise TaskerWorker::RetryableError, 'm', [raw] }[1]['backtrace'].first
              end
      expect(error).to eq(clean)
    end
  end

  it 'cleans every other text of an error' do
    klass = Class.new(StandardError) { def self.name = "Odd\0Name" }
    bytes = "\xC3\xA4 \xE4 \xFF".b
    error = report { raise klass, bytes }[1]
    expect(error).to include('error_type' => "Odd\uFFFDName")
    expect(error['message']).to start_with("Odd\uFFFDName: ä \uFFFD \uFFFD (")
    wide = report { raise TaskerWorker::RetryableError, "\u00e4\0".encode('UTF-16LE') }[1]
    expect(wide['message']).to eq("ä\uFFFD")
    [{ 'a' => "\0" }, { "\0" => 1 }, { 'a' => [{ 'b' => "x\0" }] }].each do |context|
      expect(permanent('m', context: context)['context']).to eq('dropped' => 'it holds U+0000')
    end
    literal = { 'a' => 'the text \u0000' }
    expect(permanent('m', context: literal)['context']).to eq(literal)
  end

  it 'keeps the causes of an error behind its backtrace, ends of cycles included' do
    error = report do
      { 'a' => 1 }.fetch('b')
    rescue KeyError
      raise TaskerWorker::PermanentError.new('no b', error_code: 'b')
    end[1]
    expect(error['message']).to eq('no b')
    cause = /\Acaused by KeyError: key not found: "b" \(outcome_spec\.rb:\d+\)\z/
    expect(error['backtrace'].grep(cause).size).to eq(1)
    # What was raised on purpose has its type and place as a cause, too.
    wrapped = report do
      raise TaskerWorker::NetworkError, 'gateway'
    rescue TaskerWorker::NetworkError
      raise 'no answer'
    end[1]
    expect(wrapped['backtrace']).to include(/\Acaused by NetworkError: gateway \(outcome_spec\.rb:\d+\)\z/)
    first = RuntimeError.new('first')
    chain = report do
      10.times.reduce(first) { |inner, n| raise_with(inner, n) }.then { |last| raise last }
    end[1]
    expect(chain['backtrace'].grep(/\Acaused by/).size).to eq(4)
  end

  def raise_with(cause, number)
    raise RuntimeError, number.to_s, cause: cause
  rescue RuntimeError => e
    e
  end

  it 'sends retry_after as a number, whatever kind of number it was' do
    [[3r / 2, 1.5], [BigDecimal('2.5'), 2.5], [7, 7]].each do |given, sent|
      error = report { raise TaskerWorker::RetryableError.new('m', retry_after: given) }[1]
      expect(JSON.parse(JSON.generate(error))['retry_after_seconds']).to eq(sent)
    end
  end

  it 'describes an error whose own methods raise' do
    mute = Class.new(TaskerWorker::PermanentError) { def message = raise('no words') }
    expect(report { raise mute }).to match(['error', include('message' => /cannot be read: RuntimeError/)])
    odd = Class.new(TaskerWorker::PermanentError) { def context = 5 }
    status, error = report { raise odd, 'm' }
    expect([status, error]).to match(['error', include('message' => 'm', 'context' => include('dropped'))])
  end

  it 'cuts the backtrace to 20 lines and the message to a readable length' do
    deep = ->(n) { n.zero? ? raise('x' * 10_000) : deep.call(n - 1) }
    _, error = report { deep.call(50) }
    expect(error['backtrace'].size).to eq(20)
    expect(error['message'].length).to be <= 4096
  end

  it 'survives messages and contexts that are no text or no JSON' do
    _, error = report { raise TaskerWorker::PermanentError.new("a\xff".b, context: { x: Object.new }) }
    expect(error['message']).to be_valid_encoding
    expect(JSON.generate(error)).to include('not a JSON type')
  end

  it 'refuses a retry_after that is no number of seconds' do
    [-1, 'soon', Float::NAN].each do |value|
      expect do
        TaskerWorker::RetryableError.new('m', retry_after: value)
      end.to raise_error(ArgumentError, /retry_after/)
    end
  end
end

RSpec.describe TaskerWorker::Output do
  it 'encodes JSON types' do
    expect(described_class.encode({ a: [1, 2.5, nil, true, :sym,
                                        'ü'] })).to eq('{"a":[1,2.5,null,true,"sym","ü"]}')
    expect(described_class.encode(nil)).to eq('null')
  end

  deep = 64.times.reduce('x') { |inner, _| [inner] }
  { { a: [{ b: Float::INFINITY }] } => /output\.a\[0\]\.b: Infinity/,
    { 'a' => Time.now } => /output\.a: Time/,
    { 1 => 2 } => /keys must be/, ["\xff"] => /output\[0\].*UTF-8/, ["\xff".b] => /binary/,
    deep => /deeper than 60/ }
    .each do |value, message|
    it("refuses #{value.inspect[0, 40]}") {
      expect do
        described_class.encode(value)
      end.to raise_error(described_class::Refused, message)
    }
  end

  it 'names the code of what it refuses' do
    limits = TaskerWorker::Limits.new(9, 2)
    codes = [{ a: Object.new }, [[[1]]], ['long text']].map do |value|
      described_class.encode(value, limits)
    rescue described_class::Refused => e
      e.code
    end
    expect(codes).to eq(%w[unserialisable_output output_too_deep output_too_large])
    expect(described_class.encode([[1, 2]], limits)).to eq('[[1,2]]')
    expect { described_class.encode(['üüü'], limits) }.to raise_error(described_class::Refused, /10 bytes/)
  end

  it 'takes what is exactly as deep as allowed' do
    expect(described_class.encode(60.times.reduce('x') { |inner, _| [inner] })).to start_with('[' * 60)
  end
end
