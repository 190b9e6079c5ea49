# frozen_string_literal: true

require 'spec_helper'

RSpec.describe TaskerWorker::Pool do
  let(:wake_up) { TaskerWorker::WakeUp.new }
  let(:attempt_class) { Struct.new(:name, :started_ms, :state, :start_by_ms, :ended) }

  after { wake_up.close }

  def pool_of(capacity, &)
    @pool = described_class.new(capacity: capacity, wake_up: wake_up, &)
  end

  after { @pool.close(5) }

  def attempts(count) = Array.new(count) { |index| attempt_class.new(index) }

  # Waits as the socket thread does: polls the wake_up's descriptor.
  def collect(count)
    done = []
    deadline = Process.clock_gettime(Process::CLOCK_MONOTONIC) + 10
    while done.size < count
      wake_up.arm
      IO.for_fd(wake_up.fileno, autoclose: false).wait_readable(0.1) unless @pool.finished?
      wake_up.disarm
      done.concat(@pool.take_finished)
      raise "only #{done.size} of #{count}" if Process.clock_gettime(Process::CLOCK_MONOTONIC) > deadline
    end
    done
  end

  it 'runs every attempt exactly once' do
    pool = pool_of(4) { |attempt| attempt.name * 2 }
    pool.submit(attempts(500))
    done = collect(500)
    expect(done.map { |attempt, outcome| [attempt.name, outcome] })
      .to match_array(500.times.map { |i| [i, i * 2] })
    expect(pool).to be_idle
  end

  it 'spreads attempts that block over all threads' do
    gate = Queue.new
    started = Queue.new
    pool = pool_of(3) { |_| started.push(1) and gate.pop }
    pool.submit(attempts(5))
    3.times { started.pop }
    expect([pool.running_count, pool.queued_count]).to eq([3, 2])
    5.times { gate.push(1) }
    collect(5)
  end

  it 'gives back what has not started, and only that' do
    gate = Queue.new
    started = Queue.new
    pool = pool_of(1) { |_| started.push(1) and gate.pop }
    all = attempts(3)
    pool.submit(all)
    started.pop
    expect(pool.withdraw { |attempt| attempt.name != 1 }).to eq([all[2]])
    2.times { gate.push(1) }
    expect(collect(2).map { |attempt, _| attempt.name }).to eq([0, 1])
  end

  it 'counts what has not reached the outbox yet: the steps, and the bytes of their results' do
    result = TaskerWorker::Outcome.new('completed', 'x' * 100, nil, 1)
    pool = pool_of(4) { result }
    pool.room(2, 1000)
    pool.submit(attempts(3))
    expect(collect(2).size).to eq(2)
    pool.room(0, 800) # the two have filled it
    expect(pool.queued_count).to eq(1)
    pool.room(10, 100)
    collect(1)
    pool.submit(attempts(2))
    expect([pool.queued_count, pool.finished?]).to eq([2, false]) # 100 bytes wait for the outbox
    pool.room(10, 150)
    collect(2)
  end

  it 'starts nothing while the outbox has no room' do
    pool = pool_of(2, &:name)
    pool.room(0, 0)
    pool.submit(attempts(2))
    expect([pool.queued_count, pool.running_count]).to eq([2, 0])
    pool.room(10, 1000)
    collect(2)
  end

  it 'does not start a attempt after its start window' do
    ran = []
    pool = pool_of(1) { |attempt| ran << attempt.name }
    late, good = attempts(2)
    late.start_by_ms = TaskerWorker::Clock.now_ms - 1
    good.start_by_ms = TaskerWorker::Clock.now_ms + 60_000
    pool.submit([late, good])
    expect(collect(2).map { |attempt, outcome| [attempt.name, outcome.nil?] }).to eq([[0, true], [1, false]])
    expect(ran).to eq([1])
  end

  it 'fills the slot of a thread that its handler ended, and reports the attempt at once' do
    lost = ->(attempt) { [:lost, attempt.name] }
    @pool = described_class.new(capacity: 2, wake_up: wake_up, lost: lost) do |attempt|
      attempt.name.even? ? Thread.exit : attempt.name
    end
    @pool.submit(attempts(20))
    expect(collect(20).map { |attempt, outcome| [attempt.name, outcome] })
      .to match_array(20.times.map { |i| [i, i.even? ? [:lost, i] : i] })
    expect(@pool).to be_idle
    expect([@pool.running_count, @pool.close(10)]).to eq([0, true])
  end

  it 'fills the slot of a thread that somebody killed while it waited' do
    before = Thread.list
    pool = pool_of(3, &:name)
    pool.submit(attempts(1))
    collect(1)
    idle = Thread.list - before
    expect(idle.size).to eq(3)
    idle.each(&:kill).each(&:join)
    pool.submit(attempts(6))
    expect(collect(6).map { |attempt, _| attempt.name }).to match_array(6.times.to_a)
  end
end
