# frozen_string_literal: true

require 'spec_helper'

# Steps as they come in a decoded step_batch_request.
module BatchSpec
  def request(step_id, attempt: 1, timeout_ms: 1000)
    { 'step_id' => step_id, 'task_id' => 7, 'namespace' => 'n', 'task_name' => 't', 'task_version' => '1',
      'step_name' => "s#{step_id}", 'handler_class' => 'H', 'handler_config' => {}, 'task_context' => {},
      'previous_results' => {},
      'metadata' => { 'attempt' => attempt, 'retry_limit' => 3, 'timeout_ms' => timeout_ms, 'sequence' => 1,
                      'total_steps' => 1, 'idempotency_key' => 'k' } }
  end

  def attempt_in(batch, step_id, **rest)
    TaskerWorker::Attempt.new(batch, request(step_id, **rest), nil).tap { |attempt| batch.add(attempt) }
  end
end

RSpec.describe TaskerWorker::BatchBook do
  include BatchSpec

  let(:book) { described_class.new(ended_max: 2) }
  let(:batch) { TaskerWorker::Batch.new('b1', 'a' * 16, 0).tap { |made| book.add(made) } }

  it 'lists what is held or running, and finds an attempt by its whole name' do
    held, running, reported, back = (1..4).map { |id| attempt_in(batch, id, attempt: 2) }
    running.state = :running
    reported.state = :reported
    batch.handed_back(back)
    expect(book.open_attempts).to eq([held, running])
    expect([held, reported, back].map { |one| book.attempt(one.ref) }).to eq([held, reported, nil])
    expect(book.attempt(held.ref.merge('attempt' => 1))).to be_nil
    expect(book.attempt(held.ref.merge('batch_id' => 'other'))).to be_nil
  end

  it 'remembers the answer to the last ended batches only' do
    batch.accepted = true
    batch.rejections << 'frame'
    expect([book.seen('b1'), book.settled?]).to eq([batch, false])
    book.finish(batch)
    expect(book.seen('b1').to_a).to eq(['b1', '"b1"', 'a' * 16, true, ['frame']])
    expect(book).to be_settled
    %w[b2 b3].each { |id| book.finish(TaskerWorker::Batch.new(id, 'a' * 16, 0)) }
    expect([book.seen('b1'), book.seen('b2')&.id, book.seen('b3')&.id]).to eq([nil, 'b2', 'b3'])
  end

  it 'knows when a batch has nothing left to report' do
    first, second = [1, 2].map { |id| attempt_in(batch, id) }
    batch.reported(first, 'completed', 3)
    expect(batch).not_to be_ended
    batch.handed_back(second)
    expect(batch).to be_ended
    expect(batch.summaries.map(&:to_a)).to eq([[1, 1, 'completed', 3]])
  end
end

RSpec.describe TaskerWorker::Attempt do
  include BatchSpec

  let(:attempt) { attempt_in(TaskerWorker::Batch.new('b1', 'a' * 16, 0), 1, timeout_ms: 1000) }

  it 'is due when it is to be announced, when its time is over, and when its grace is' do
    expect(attempt.next_due_ms).to be_nil
    attempt.started_ms = 5000
    expect([attempt.next_due_ms, attempt.announcement_due?(5199), attempt.announcement_due?(5200)])
      .to eq([5200, false, true])
    attempt.announced = true
    expect([attempt.next_due_ms, attempt.announcement_due?(5300)]).to eq([6000, false])
    attempt.ask_to_stop
    expect([attempt.next_due_ms, attempt.step.cancel_reason]).to eq([6100, 'timeout'])
    attempt.state = :reported
    expect(attempt.next_due_ms).to be_nil
  end

  it 'is not announced when its time is shorter' do
    short = attempt_in(attempt.batch, 2, timeout_ms: 50)
    short.started_ms = 0
    expect(short.next_due_ms).to eq(50)
  end

  it 'counts an error after the call to stop as a time-out, and a result as a result' do
    failed = TaskerWorker::Outcome.new('failed', nil, { 'message' => 'stopped' }, 7)
    done = TaskerWorker::Outcome.new('completed', '1', nil, 7)
    expect(attempt.timed_out_with?(failed)).to be(false)
    attempt.ask_to_stop
    expect([attempt.timed_out_with?(failed), attempt.timed_out_with?(done)]).to eq([true, false])
    outcome = attempt.timeout_outcome(7, stopped: true)
    expect([outcome.status, outcome.execution_ms]).to eq(['failed', 7])
    expect(outcome.error).to include('error_code' => 'timeout', 'handler_stopped' => true,
                                     'message' => 'no result within 1000 ms')
  end
end
