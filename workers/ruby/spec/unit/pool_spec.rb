# frozen_string_literal: true

require 'spec_helper'

RSpec.describe TaskerWorker::HandlerPool do
  let(:waker) { TaskerWorker::Waker.new }
  let(:job_class) { Struct.new(:name, :started_ms, :state, :start_by_ms, :ended) }

  after { waker.close }

  def pool_of(capacity, &)
    @pool = described_class.new(capacity: capacity, waker: waker, &)
  end

  after { @pool.close(5) }

  def jobs(count) = Array.new(count) { |index| job_class.new(index) }

  # Waits as the socket thread does: polls the waker's descriptor.
  def collect(count)
    done = []
    deadline = Process.clock_gettime(Process::CLOCK_MONOTONIC) + 10
    while done.size < count
      waker.arm
      IO.for_fd(waker.fileno, autoclose: false).wait_readable(0.1) unless @pool.finished?
      waker.disarm
      done.concat(@pool.take_finished)
      raise "only #{done.size} of #{count}" if Process.clock_gettime(Process::CLOCK_MONOTONIC) > deadline
    end
    done
  end

  it 'runs every job exactly once' do
    pool = pool_of(4) { |job| job.name * 2 }
    pool.submit(jobs(500))
    done = collect(500)
    expect(done.map { |job, outcome| [job.name, outcome] }).to match_array(500.times.map { |i| [i, i * 2] })
    expect(pool).to be_idle
  end

  it 'spreads jobs that block over all threads' do
    gate = Queue.new
    started = Queue.new
    pool = pool_of(3) { |_| started.push(1) and gate.pop }
    pool.submit(jobs(5))
    3.times { started.pop }
    expect([pool.running_count, pool.queued_count]).to eq([3, 2])
    5.times { gate.push(1) }
    collect(5)
  end

  it 'gives back what has not started, and only that' do
    gate = Queue.new
    started = Queue.new
    pool = pool_of(1) { |_| started.push(1) and gate.pop }
    all = jobs(3)
    pool.submit(all)
    started.pop
    expect(pool.withdraw { |job| job.name != 1 }).to eq([all[2]])
    2.times { gate.push(1) }
    expect(collect(2).map { |job, _| job.name }).to eq([0, 1])
  end

  it 'counts what has not reached the outbox yet: the steps, and the bytes of their results' do
    result = TaskerWorker::Outcome.new('completed', 'x' * 100, nil, 1)
    pool = pool_of(4) { result }
    pool.room(2, 1000)
    pool.submit(jobs(3))
    expect(collect(2).size).to eq(2)
    pool.room(0, 800) # the two have filled it
    expect(pool.queued_count).to eq(1)
    pool.room(10, 100)
    collect(1)
    pool.submit(jobs(2))
    expect([pool.queued_count, pool.finished?]).to eq([2, false]) # 100 bytes wait for the outbox
    pool.room(10, 150)
    collect(2)
  end

  it 'starts nothing while the outbox has no room' do
    pool = pool_of(2, &:name)
    pool.room(0, 0)
    pool.submit(jobs(2))
    expect([pool.queued_count, pool.running_count]).to eq([2, 0])
    pool.room(10, 1000)
    collect(2)
  end

  it 'does not start a job after its start window' do
    ran = []
    pool = pool_of(1) { |job| ran << job.name }
    late, good = jobs(2)
    late.start_by_ms = TaskerWorker::Clock.now_ms - 1
    good.start_by_ms = TaskerWorker::Clock.now_ms + 60_000
    pool.submit([late, good])
    expect(collect(2).map { |job, outcome| [job.name, outcome.nil?] }).to eq([[0, true], [1, false]])
    expect(ran).to eq([1])
  end
end

RSpec.describe TaskerWorker::Claims do
  let(:sent) { [] }
  let(:claims) do
    described_class.new(send_request: ->(job, n) { sent << [job.step_id, n] }, resend_ms: lambda {
                                                                                            100
                                                                                          })
  end
  let(:job_class) { Struct.new(:batch, :step_id, :attempt, :claim, :start_by_ms, :state) }
  let(:batch) { Struct.new(:id).new('b') }

  def job(step_id) = job_class.new(batch, step_id, 1).tap { |made| claims.add(made) }

  def answer(step_id, number,
             window = 50)
    { 'batch_id' => 'b', 'step_id' => step_id, 'attempt' => 1, 'n' => number,
      'start_window_ms' => window }
  end

  it 'asks only for as many as there are slots, in order, and repeats' do
    3.times { |index| job(index + 1) }
    claims.tick(0, 2)
    claims.tick(99, 0)
    claims.tick(100, 0)
    expect(sent).to eq([[1, 1], [2, 1], [1, 2], [2, 2]])
    expect(claims.next_due_ms).to eq(200)
  end

  it 'counts the window from when the granted request was sent' do
    wanted = job(1)
    claims.tick(0, 1)
    claims.tick(100, 0)
    expect(claims.granted(answer(1, 1), 51)).to eq([nil, nil]) # the second request may still be answered
    expect(claims.granted(answer(1, 7), 101)).to eq([nil, nil]) # nobody asked so
    expect(claims.granted(answer(1, 2), 149)).to eq([wanted, nil])
    expect(wanted.start_by_ms).to eq(150)
    expect(claims).to be_empty
  end

  it 'gives a step back when the window of its last request is over' do
    late = job(1)
    claims.tick(0, 1)
    expect(claims.granted(answer(1, 1), 51)).to eq([nil, late])
    expect(claims).to be_empty
    expect(claims.granted(answer(1, 1), 1)).to eq([nil, nil])
  end
end
