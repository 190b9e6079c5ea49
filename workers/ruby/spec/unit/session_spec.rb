# frozen_string_literal: true

require 'spec_helper'

RSpec.describe TaskerWorker::Session do
  # What a session asks of the work, and nothing in hand.
  let(:work) do
    inventory = { 'held' => [], 'running' => [], 'unacked' => [] }
    beat = inventory.merge('oldest_unacked_ms' => 0, 'free' => 1)
    double('work', inventory: inventory, heartbeat_inventory: beat, :answered= => nil, resend_all: nil,
                   outbox: double('outbox', resend_all: nil))
  end
  let(:sent) { [] }
  let(:log) { StringIO.new }
  let(:new_ids) { [] }
  let(:session) do
    described_class.new(introduction: {}, work: work, log: TaskerWorker::Log.new(io: log),
                        endpoints: { steps_endpoints: 'ipc:///s', results_endpoints: 'ipc:///r' },
                        publish: ->(frame) { sent << [@now, type_of(frame)] },
                        silence_ms: 5000, now: 0, id: 'a' * 16) { |id| new_ids << id }
  end

  def type_of(frame) = JSON.parse(frame.split(' ', 2).last)['message_type']

  # Lets the clock run to +finish+ (ms) as the loop does: from one due moment to the next.
  def run_to(finish)
    @now ||= 0
    while (due = session.next_due_ms) <= finish
      @now = [due, @now].max
      session.tick(@now)
    end
    @now = finish
  end

  def receive(type, epoch: 1, **fields)
    message = TaskerWorker::Wire::Message.new(type, { 'epoch' => epoch, 'orchestrator_id' => 'o',
                                                      'session' => session.id }
                                                    .merge(fields.transform_keys(&:to_s)))
    return if session.judge_epoch(message, @now) == :stale

    session.public_send(type, *(type == 'heartbeat' ? [message] : [message, @now]))
  end

  def welcome(**rest) = receive('welcome', heartbeat_ms: 60_000, **rest)
  def hellos = sent.filter_map { |at, type| at if type == 'hello' }

  it 'says hello at once, again after 100 ms, and then each second until it is answered' do
    run_to(3500)
    expect(hellos).to eq([0, 100, 1100, 2100, 3100])
    welcome
    run_to(4900)
    expect(hellos.size).to eq(5)
  end

  it 'says every 30 s that nobody answers, where it looks and what helps' do
    run_to(29_999)
    expect(log.string).not_to include('no orchestrator answers')
    run_to(95_000)
    lines = log.string.lines.grep(/no orchestrator answers/)
    expect(lines.map { |line| line[/silent_ms=(\d+)/, 1].to_i }).to eq([30_000, 60_000, 90_000])
    expect(lines).to all(include('level=warn', 'steps_endpoints=ipc:///s', 'results_endpoints=ipc:///r',
                                 'tasker health'))
    welcome
    20.times do
      run_to(@now + 5000)
      receive('heartbeat', n: 1)
    end
    run_to(@now + 29_000)
    expect(log.string.scan('no orchestrator answers').size).to eq(3)
    run_to(@now + 1000)
    expect(log.string.scan('no orchestrator answers').size).to eq(4)
  end

  it 'starts anew for a higher epoch' do
    run_to(10)
    welcome
    run_to(2000)
    receive('heartbeat', epoch: 2, n: 1)
    run_to(4500)
    expect(hellos).to eq([0, 2000, 2100, 3100, 4100])
  end

  it 'takes a welcome of a higher epoch for the answer' do
    run_to(10)
    welcome
    run_to(2000)
    welcome(epoch: 2)
    run_to(4500)
    expect(hellos).to eq([0])
  end

  it 'starts anew on new sockets' do
    run_to(10)
    welcome(heartbeat_ms: 1000)
    @now = 5010
    expect(session.tick(@now)).to eq(:silent)
    session.reconnected(@now)
    run_to(7200)
    expect(hellos).to eq([0, 5010, 5110, 6110, 7110])
  end

  it 'follows a lower epoch when the higher one has fallen silent' do
    run_to(10)
    welcome(epoch: 3, heartbeat_ms: 1000)
    @now = 4900
    receive('heartbeat', epoch: 2, n: 1) # is no sign of life either
    @now = 5010
    expect(session.tick(@now)).to eq(:silent)
    session.reconnected(@now)
    receive('heartbeat', epoch: 2, n: 2)
    @now = 5200
    session.tick(@now)
    expect(hellos).to eq([0, 5010, 5200])
    expect(receive('heartbeat', epoch: 1, n: 3)).to be_nil
    expect(receive('heartbeat', epoch: 2, n: 3)).to eq(3)
  end

  it 'follows another installation at any epoch, unless its own still answers' do
    run_to(10)
    receive('heartbeat', epoch: 3, n: 1, installation: 'one')
    welcome(epoch: 3, heartbeat_ms: 1000)
    @now = 1000
    expect(receive('heartbeat', epoch: 9, n: 2, installation: 'two')).to be_nil
    [[3000, 'two', 3], [6000, 'one', 1]].each do |time, name, epoch|
      @now = time
      expect(receive('heartbeat', epoch: epoch, n: 7, installation: name)).to eq(7)
      session.tick(@now)
      expect(hellos.last).to eq(time)
      welcome(epoch: epoch, heartbeat_ms: 1000, installation: name)
    end
  end

  it 'starts anew at once under a new id' do
    run_to(10)
    receive('refused', code: 'duplicate_session', message: 'taken', retry_ms: 4000)
    run_to(1200)
    expect([hellos, new_ids]).to eq([[0, 10, 110, 1110], [session.id]])
  end

  it 'waits after a refusal for as long as it names, and tries each second then' do
    run_to(10)
    receive('refused', code: 'draining', message: 'later', retry_ms: 400)
    run_to(2500)
    expect(hellos).to eq([0, 410, 1410, 2410])
    receive('refused', code: 'draining', message: 'later', retry_ms: 0)
    run_to(2700)
    expect(hellos.last).to eq(2600)
  end

  it 'stops for good when it is refused for good' do
    run_to(10)
    %w[not_allowed version].each do |code|
      expect { receive('refused', code: code, message: 'no', retry_ms: 0) }
        .to raise_error(described_class::Refused, /#{code}.*no/)
    end
  end

  describe 'with another process under its session id' do
    let(:nonce) { session.instance_variable_get(:@nonce) }

    it 'ignores what answers the other one' do
      run_to(10)
      %w[duplicate_session not_allowed version draining].each do |code|
        receive('refused', code: code, message: '', retry_ms: 100, hello_nonce: 'another')
      end
      welcome
      receive('refused', code: 'version', message: '', retry_ms: 100, hello_nonce: nonce)
      receive('refused', code: 'duplicate_session', message: '', retry_ms: 100)
      run_to(900)
      expect(hellos).to eq([0])
      expect(new_ids).to be_empty
    end

    it 'takes a refusal of a higher epoch' do
      run_to(10)
      welcome
      receive('refused', epoch: 2, code: 'duplicate_session', message: '', retry_ms: 100, hello_nonce: nonce)
      expect(new_ids.size).to eq(1)
    end
  end

  it 'introduces itself again when it is not known any more' do
    run_to(10)
    welcome
    run_to(500)
    receive('refused', code: 'unknown_session', message: '', retry_ms: 100)
    run_to(2000)
    expect(hellos).to eq([0, 600, 1600])
  end

  it 'answers a probe that comes before the welcome after it' do
    run_to(10)
    receive('probe', nonce: 'early')
    expect(sent.map(&:last)).not_to include('ready')
    welcome
    expect(sent.map(&:last).count('ready')).to eq(1)
  end

  it 'stops at a hello that is too large, and sends no heartbeat that is' do
    run_to(10)
    welcome(heartbeat_ms: 1000, limits: { 'result_bytes' => 1, 'inventory_bytes' => 20 })
    run_to(1500)
    expect(sent.map(&:last)).to eq(['hello'])
    receive('heartbeat', epoch: 2, n: 1)
    expect { run_to(1600) }.to raise_error(TaskerWorker::ConfigurationError, /hello of this worker has/)
  end

  describe TaskerWorker::Introduction do
    it 'refuses names that no hello may hold' do
      ["a\nb", "a\u202eb", "a\u009b", 'x' * 256].each do |name|
        [[name, ['n'], ['A']], ['w', [name], ['A']], ['w', ['n'], [name]]].each do |names|
          expect { described_class.check(*names) }.to raise_error(TaskerWorker::ConfigurationError, /a name/)
        end
      end
      described_class.check('käufer-🛒', ['x' * 255], ['Order::*'])
    end

    it 'refuses more names than a hello holds' do
      handlers = Array.new(10_000) { |i| "#{i}#{'x' * 190}" }
      expect { described_class.check('w', ['n'], handlers) }
        .to raise_error(TaskerWorker::ConfigurationError, /bytes, at most/)
    end
  end
end
