# frozen_string_literal: true

require 'spec_helper'

RSpec.describe TaskerWorker::ErrorReport do
  def report(&block)
    block.call
  rescue Exception => e # rubocop:disable Lint/RescueException
    described_class.from(e)
  end

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
    SystemStackError.new('m') => ['failed', { 'retryable' => true }]
  }.each do |exception, (status, fields)|
    it "reports #{exception.class} as #{status}" do
      result = report { raise exception }
      expect(result[0]).to eq(status)
      expect(result[1]).to include(fields).and include('message' => 'm')
    end
  end

  it 'cuts the backtrace to 20 lines and the message to a readable length' do
    deep = ->(n) { n.zero? ? raise('x' * 10_000) : deep.call(n - 1) }
    _, error = report { deep.call(50) }
    expect(error['backtrace'].size).to eq(20)
    expect(error['message'].length).to be < 4100
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
    deep => /deeper than 63/ }
    .each do |value, message|
    it("refuses #{value.inspect[0, 40]}") {
      expect do
        described_class.encode(value)
      end.to raise_error(described_class::Unserialisable, message)
    }
  end

  it 'takes what is exactly as deep as allowed' do
    expect(described_class.encode(63.times.reduce('x') { |inner, _| [inner] })).to start_with('[' * 63)
  end
end
