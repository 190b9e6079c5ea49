# frozen_string_literal: true

require 'spec_helper'
require 'tasker_worker/testing'

RSpec.describe TaskerWorker::Verdict do
  sdk = TaskerWorker
  throttled = Class.new(StandardError) { def self.name = 'Shop::Throttled' }
  blocked = Class.new(throttled) { def self.name = 'Shop::Blocked' }

  # [status, error code] of an attempt of a handler with these lists.
  def report(raised, retry_on: [], fail_on: [])
    handler = Class.new(TaskerWorker::StepHandler) do
      retry_on(*retry_on)
      fail_on(*fail_on)
      define_method(:process) { |_task, _sequence, _step| raise raised }
    end
    ending(handler)
  end

  def ending(handler, **inputs)
    result = TaskerWorker::Testing.run_step(handler, **inputs)
    expect(result.error['retryable']).to eq(result.status == 'failed')
    [result.status, result.error['error_code']]
  end

  [
    [KeyError.new('k'), { fail_on: ['KeyError'] }, %w[error fail_on]],
    [KeyError.new('k'), { fail_on: [IndexError] }, %w[error fail_on]],
    [KeyError.new('k'), { fail_on: ['Key'] }, ['failed', nil]],
    [ArgumentError.new('v'), { retry_on: ['ArgumentError'] }, ['failed', nil]],
    [TypeError.new('t'), { retry_on: ['Exception'] }, ['failed', nil]],
    [throttled.new, { fail_on: ['Shop::Throttled'] }, %w[error fail_on]],
    # The class that is nearer to the exception's decides.
    [blocked.new, { retry_on: ['Shop::Throttled'], fail_on: ['Shop::Blocked'] }, %w[error fail_on]],
    [throttled.new, { retry_on: ['Shop::Throttled'], fail_on: ['Shop::Blocked'] }, ['failed', nil]],
    [blocked.new, { fail_on: ['Shop::Throttled'], retry_on: [blocked] }, ['failed', nil]],
    # In both lists it is not tried again.
    [throttled.new, { fail_on: [throttled], retry_on: [throttled] }, %w[error fail_on]],
    # An error of the library means what it says.
    [sdk::RetryableError.new('r'), { fail_on: ['Exception', sdk::RetryableError] }, ['failed', nil]],
    [sdk::PermanentError.new('p', error_code: 'x'), { retry_on: [sdk::PermanentError] }, %w[error x]]
  ].each do |raised, lists, expected|
    it "judges #{raised.class.name} with #{lists} as #{expected}" do
      expect(report(raised, **lists)).to eq(expected)
    end
  end

  def per_step
    @per_step ||= Class.new(TaskerWorker::StepHandler) do
      fail_on 'KeyError'
      define_method(:fail_on) { config['fatal'] || super() }
      define_method(:process) { |task, _, _| raise Object.const_get(task.context['raise']), 'x' }
    end
  end

  it 'lets an object decide by its configuration' do
    config = { 'fatal' => %w[FrozenError IOError] }
    found = %w[KeyError IOError].map do |name|
      [ending(per_step, context: { raise: name })[0],
       ending(per_step, context: { raise: name }, handler_config: config)[0]]
    end
    expect(found).to eq([%w[error failed], %w[failed error]])
  end

  it 'judges a constructor by the lists of its class, and a class without the base by its own' do
    refusing = Class.new do
      def self.fail_on = ['IndexError']
      def initialize(config:) = (raise KeyError, 'no such account' if config.empty?)
      def process(_task, _sequence, _step) = raise(KeyError, 'no such order')
    end
    expect(ending(refusing)).to eq(%w[error fail_on])
    expect(ending(refusing, handler_config: { a: 1 })).to eq(%w[error fail_on])
  end

  it 'adds the lists of a derived class to those of its base' do
    base = Class.new(TaskerWorker::StepHandler) { retry_on 'A', 'B' }
    derived = Class.new(base) { retry_on ['C'] }
    expect([base.retry_on, derived.retry_on, derived.fail_on]).to eq([%w[A B], %w[A B C], []])
  end

  [7, 'KeyError', [7], [Integer]].each do |value|
    it "stops the start when fail_on is #{value.inspect}" do
      odd = Class.new(TaskerWorker::StepHandler) do
        define_singleton_method(:fail_on) { value }
        define_method(:process) { |_task, _sequence, _step| 1 }
      end
      expect { TaskerWorker::Handlers.check('Odd', odd) }
        .to raise_error(TaskerWorker::ConfigurationError, /Odd fail_on must be a list of exception classes/)
      expect { TaskerWorker::Registry::Entry.new(per_step, { 'fatal' => value }).object }
        .to raise_error(TaskerWorker::ConfigurationError, /fail_on must be a list/)
    end
  end
end
