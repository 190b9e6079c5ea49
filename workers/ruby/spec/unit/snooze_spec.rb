# frozen_string_literal: true

require 'tasker_worker/testing'
require 'tempfile'

# SnoozeError: not now. It costs no attempt, and a handler sees how many are left.
RSpec.describe TaskerWorker::SnoozeError do
  let(:testing) { TaskerWorker::Testing }

  def template(**step)
    keys = { name: 'pay', handler_class: 'Snooze::Pay', default_retry_limit: 2 }.merge(step)
    file = Tempfile.new(['transfer', '.yaml'])
    head = "namespace_name: bank\nname: transfer\nversion: 1.0.0\n"
    file.write("#{head}step_templates: [#{JSON.generate(keys)}]\n")
    file.close
    (@files ||= []) << file
    file.path
  end

  [-1, '60', nil, true, Float::NAN, Float::INFINITY, 1e13, Complex(1, 1)].each do |seconds|
    it "refuses #{seconds.inspect} seconds" do
      expect { described_class.new(seconds) }.to raise_error(ArgumentError, /seconds must be a number >= 0/)
    end
  end

  it 'keeps a rational number as one that JSON has' do
    expect(described_class.new(Rational(5, 2)).seconds).to eql(2.5)
  end

  it 'becomes a result with its seconds and words, without an error' do
    result = testing.run_step(testing::Stub.new(described_class.new(30, 'the bank is closed')))
    expect(result).to be_snoozed
    expect([result.completed?, result.retryable?, result.error]).to eq([false, false, nil])
    expect([result.wait_seconds, result.message]).to eq([30, 'the bank is closed'])
    expect(result.inspect).to eq('#<asked to wait 30 s: the bank is closed>')
  end

  it 'waits for nothing when a class of its own leaves out the seconds and has no text' do
    odd = Class.new(described_class) do
      def initialize; end
      def message = raise('no text')
    end
    result = testing.run_step(testing::Stub.new(odd.new))
    expect([result.snoozed?, result.wait_seconds]).to eq([true, 0])
  end

  it 'is not for the lists of a handler' do
    listed = Class.new(TaskerWorker::StepHandler) do
      fail_on 'TaskerWorker::SnoozeError'
      def process(_task, _sequence, _step) = raise(TaskerWorker::SnoozeError, 1)
    end
    expect(testing.run_step(listed)).to be_snoozed
  end

  it 'is delivered again by a template, and no attempt is used up' do
    seen = []
    pay = lambda do |_task, _sequence, step|
      seen << [step.attempt, step.tries_left]
      raise described_class, 60 if [1, 3].include?(seen.size)
      raise IOError, 'once' if seen.size == 2

      { 'paid' => true }
    end
    run = testing.run_template(template, stubs: { 'pay' => pay })
    expect(run.state).to eq('complete'), run.explain
    # The deliveries rise; what is left falls only with the failure.
    expect(seen).to eq([[1, 1], [2, 1], [3, 0], [4, 0]])
    story = run.steps['pay']
    expect([story.attempts, story.snoozes, story.history.size]).to eq([2, 2, 4])
    expect(run.explain).to include('asked to wait 60 s', 'attempt 1 failed: IOError')
  end

  [0, 3].each do |limit|
    it "fails beyond max_snoozes #{limit}, and the reason says so" do
      run = testing.run_template(template(max_snoozes: limit),
                                 stubs: { 'pay' => described_class.new(1, 'still closed') })
      story = run.steps['pay']
      expect([run.state, story.state, story.snoozes]).to eq(['error', 'error', limit])
      expect(story.result.error['error_code']).to eq('snoozes_exhausted')
      expect(story.result.error['message'])
        .to include("more often than max_snoozes allows (#{limit}): still closed")
    end
  end

  describe 'tries_left' do
    let(:left) { testing::Stub.new(->(_task, _sequence, step) { step.tries_left }) }

    it 'is 0 for a step that must not be repeated' do
      run = testing.run_template(template(default_retryable: false, default_retry_limit: 5),
                                 stubs: { 'pay' => ->(_task, _sequence, step) { [step.tries_left] } })
      expect(run.steps['pay'].output).to eq([0])
    end

    it 'is what the attempts leave, unless a test says otherwise' do
      outputs = [{ attempt: 2 }, { attempt: 9 }, { attempt: 9, tries_left: 2 }].map do |given|
        testing.run_step(left, **given).output
      end
      expect(outputs).to eq([1, 0, 2])
    end
  end
end
