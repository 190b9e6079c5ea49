# frozen_string_literal: true

require 'integration'

RSpec.describe 'The life of a session' do
  include_context 'with a fake orchestrator'

  # When the next +count+ hellos come, in seconds, and the sessions they name.
  def times_of_hellos(count)
    hellos = Array.new(count) do
      hello = orchestrator.take('hello')
      [Process.clock_gettime(Process::CLOCK_MONOTONIC), hello['session']]
    end
    hellos.transpose
  end

  it 'repeats hello each second until it is answered' do
    orchestrator.heartbeats = false # they would bring the series of a new epoch
    start_worker
    # The very first may be lost while the connection comes up.
    times, sessions = times_of_hellos(4)
    expect(times.each_cons(2).map { |before, after| after - before }.last(2)).to all(be_between(0.8, 1.5))
    expect(sessions.uniq.size).to eq(1)
  end

  it 'says hello to a higher epoch at once, after 100 ms, and then each second' do
    start_worker
    orchestrator.handshake
    orchestrator.epoch = 2
    from = Process.clock_gettime(Process::CLOCK_MONOTONIC)
    orchestrator.control('heartbeat', n: 1)
    times, = times_of_hellos(3)
    expect(times[0] - from).to be < 0.5
    expect(times[1] - times[0]).to be_between(0.05, 0.6)
    expect(times[2] - times[1]).to be_between(0.8, 1.5)
  end

  it 'says hello with its inventory at once when a higher epoch is heard, and drops lower ones' do
    start_worker
    orchestrator.handshake(resend_ms: 60_000)
    id = orchestrator.batch({ step_id: 1, name: 'gate', context: { 'gate' => gate } }, { step_id: 2 },
                            handler: 'Spec::GateHandler')
    orchestrator.take('partial_result') { |message| message['step_id'] == 2 }
    orchestrator.take('worker_heartbeat') { |beat| beat['running'].any? }
    orchestrator.messages.clear
    orchestrator.epoch = 2
    orchestrator.control('heartbeat', n: 1)
    hello = orchestrator.take('hello')
    expect(hello['running']).to eq([{ 'batch_id' => id, 'step_id' => 1, 'attempt' => 1 }])
    expect(hello['unacked']).to eq([{ 'batch_id' => id, 'step_id' => 2, 'attempt' => 1 }])
    orchestrator.epoch = 1
    stale = orchestrator.batch({ step_id: 7 })
    orchestrator.epoch = 2
    orchestrator.messages.clear
    orchestrator.handshake(resend_ms: 60_000)
    # What was not acked by the old orchestrator is sent to the new one as soon as it has proven itself.
    expect(orchestrator.take('partial_result') { |message| message['step_id'] == 2 }['batch_id']).to eq(id)
    open_gate
    orchestrator.take('batch_completion')
    expect(orchestrator.frames.none? { |frame| frame.include?(stale) }).to be(true)
  end

  it 'hands back what has not started when it drains, finishes the rest and says goodbye' do
    worker = start_worker('--capacity', '1', '--prefetch', '3')
    orchestrator.handshake
    orchestrator.auto_ack = true
    orchestrator.batch({ step_id: 1, name: 'gate', context: { 'gate' => gate } }, { step_id: 2 },
                       { step_id: 3 },
                       handler: 'Spec::GateHandler')
    orchestrator.take('worker_heartbeat') { |beat| beat['running'].any? }
    worker.signal('TERM')
    rejected = orchestrator.take('batch_rejected')
    expect(rejected['steps'].map do |step|
             [step['step_id'], step['reason']]
           end).to eq([[2, 'draining'], [3, 'draining']])
    orchestrator.batch({ step_id: 4 })
    expect(orchestrator.take('batch_rejected')['steps'].first).to include('step_id' => 4,
                                                                          'reason' => 'draining')
    open_gate
    expect(orchestrator.take('batch_completion').fields).to include('total_steps' => 1,
                                                                    'completed_steps' => 1)
    expect(orchestrator.take('goodbye')['reason']).to eq('drained')
    expect(exit_code_of(worker)).to eq(0)
  end

  it 'drains when the orchestrator asks, and waits for the last ack' do
    worker = start_worker
    orchestrator.handshake(resend_ms: 50)
    orchestrator.batch({ step_id: 1 })
    partial = orchestrator.take('partial_result')
    completion = orchestrator.take('batch_completion')
    orchestrator.control('drain', session: orchestrator.session, deadline_ms: 10_000)
    3.times { orchestrator.take('batch_completion') }
    expect(worker.ended?).to be_nil
    orchestrator.ack(partial, completion)
    expect(orchestrator.take('goodbye')['reason']).to eq('drained')
    expect(exit_code_of(worker)).to eq(0)
  end

  it 'asks handlers to stop before a drain ends, and takes a shorter deadline' do
    worker = start_worker('--drain-timeout', '600')
    orchestrator.handshake
    orchestrator.auto_ack = true
    orchestrator.batch({ step_id: 1, context: { 'gate' => gate('never'), 'stoppable' => true } },
                       handler: 'Spec::GateHandler')
    orchestrator.take('partial_result')
    worker.signal('TERM')
    orchestrator.until('the drain') { worker.log.include?('msg=draining') }
    orchestrator.control('drain', session: orchestrator.session, deadline_ms: 3_600_000) # longer: no change
    orchestrator.control('drain', session: orchestrator.session, deadline_ms: 1000)
    report = orchestrator.take('partial_result') { |message| message['status'] != 'in_progress' }
    expect(report['error']['message']).to eq('stopped: draining')
    expect(orchestrator.take('goodbye')['reason']).to eq('drained')
    expect(exit_code_of(worker)).to eq(0)
    expect(worker.log.scan('msg=draining').size).to eq(2)
  end

  it 'leaves with code 4 when the drain limit is over and a handler still runs' do
    worker = start_worker('--drain-timeout', '0.3')
    orchestrator.handshake
    orchestrator.batch({ step_id: 1, name: 'gate', context: { 'gate' => gate } },
                       handler: 'Spec::GateHandler')
    orchestrator.take('worker_heartbeat') { |beat| beat['running'].any? }
    worker.signal('INT')
    expect(orchestrator.take('goodbye')['reason']).to eq('deadline')
    expect(exit_code_of(worker)).to eq(4)
  end

  it 'never starts a batch of the very last moment' do
    effects = File.join(dir, 'effects.log')
    worker = start_worker(env: { 'TASKER_EFFECTS_LOG' => effects })
    orchestrator.handshake(resend_ms: 60_000)
    first = orchestrator.batch({ step_id: 1 })
    orchestrator.take('batch_completion')
    worker.signal('TERM')
    orchestrator.until('the drain') { worker.log.include?('msg=draining') }
    # The ack ends the drain; the batches stand right behind it in the worker's socket.
    orchestrator.control('ack', session: orchestrator.session, rejected: [],
                                batches: [{ batch_id: first, sequences: [1, 2] }])
    orchestrator.auto_ack = true # some may have been read, and those were handed back
    late = (2..200).map { |number| orchestrator.batch({ step_id: number }) }
    expect(orchestrator.take('goodbye')['reason']).to eq('drained')
    expect(exit_code_of(worker)).to eq(0)
    expect(effects_in(effects).map { |line| line['step_id'] }).to eq([1, 1])
    expect(orchestrator.all('batch_accepted').map { |message| message['batch_id'] } & late).to be_empty
  end

  it 'does not promise a complete drain while a timed-out handler runs' do
    worker = start_worker
    orchestrator.handshake
    orchestrator.auto_ack = true
    orchestrator.batch({ step_id: 1, name: 'gate', context: { 'gate' => gate }, timeout_ms: 100 },
                       handler: 'Spec::GateHandler')
    orchestrator.take('batch_completion')
    worker.signal('TERM')
    expect(orchestrator.take('goodbye')['reason']).to eq('handlers_running')
    expect(exit_code_of(worker)).to eq(0)
  end

  it 'exits at once at the second signal' do
    worker = start_worker
    orchestrator.handshake
    orchestrator.batch({ step_id: 1, name: 'gate', context: { 'gate' => gate } },
                       handler: 'Spec::GateHandler')
    orchestrator.take('worker_heartbeat') { |beat| beat['running'].any? }
    worker.signal('TERM')
    orchestrator.until('the drain') { worker.log.include?('draining') }
    worker.signal('TERM')
    expect(orchestrator.take('goodbye')['reason']).to eq('interrupted')
    expect(exit_code_of(worker)).to eq(4)
  end

  it 'stops with code 2 at an endpoint or an outbox that cannot be used' do
    long = "ipc://#{dir}/#{'x' * 200}"
    at_no_place = start_worker(endpoints: ['--steps-endpoint', long, '--results-endpoint', long])
    without_folder = start_worker('--outbox', File.join(dir, 'no', 'folder'))
    expect([at_no_place, without_folder].map { |worker| exit_code_of(worker) }).to eq([2, 2])
    expect(at_no_place.log).to match(/^tasker-worker: cannot connect to ipc:.*too long/)
    expect(without_folder.log).to match(%r{^tasker-worker: .*no/folder})
  end

  it 'says goodbye and exits with code 1 when the worker itself fails' do
    broken = File.join(dir, 'broken.rb')
    File.write(broken, <<~RUBY)
      TaskerWorker::Work.prepend(Module.new { def cancel(_message) = raise('a fault of the worker') })
    RUBY
    worker = start_worker('--require', broken)
    orchestrator.handshake
    orchestrator.control('cancel', session: orchestrator.session, reason: 'test', steps: [])
    expect(orchestrator.take('goodbye')['reason']).to eq('crashed')
    expect(exit_code_of(worker)).to eq(1)
    expect(worker.log).to include('a fault of the worker')
  end

  it 'rebuilds its sockets when the orchestrator is silent' do
    worker = start_worker('--silence-ms', '1500')
    orchestrator.handshake
    orchestrator.pump
    orchestrator.subscriptions.clear
    orchestrator.heartbeats = false
    control = "control.#{orchestrator.session} "
    orchestrator.until('new subscriptions', limit: 10) do
      orchestrator.subscriptions.include?([false,
                                           control]) && orchestrator.subscriptions.include?([true, control])
    end
    orchestrator.messages.clear
    hello = orchestrator.take('hello')
    expect(hello['session']).to eq(orchestrator.session)
    orchestrator.until('the log line') { worker.log.include?('nothing received from the orchestrator') }
    expect(worker.log.scan('nothing received from the orchestrator').size).to eq(1)
    orchestrator.heartbeats = true
    orchestrator.handshake
    orchestrator.batch({ step_id: 1 })
    expect(orchestrator.take('batch_completion')['completed_steps']).to eq(1)
  end

  it 'finds an orchestrator that is started later' do
    orchestrator.close
    worker = start_worker
    orchestrator.wait('the first hello into the void') { worker.log.include?('msg="worker starts"') }
    orchestrator.open
    orchestrator.handshake
    orchestrator.batch({ step_id: 1 })
    expect(orchestrator.take('batch_completion')['completed_steps']).to eq(1)
  end

  it 'takes a new session id when its own is taken' do
    start_worker
    hello = orchestrator.take('hello')
    orchestrator.instance_variable_set(:@session, hello['session'])
    orchestrator.control('refused', code: 'duplicate_session', message: 'taken', retry_ms: 10)
    second = orchestrator.take('hello') { |message| message['session'] != hello['session'] }
    expect(second['previous_sessions']).to eq([hello['session']])
    orchestrator.messages.clear
    orchestrator.handshake
    orchestrator.batch({ step_id: 1 })
    expect(orchestrator.take('partial_result')['session']).to eq(second['session'])
  end

  it 'sends under its new name what it did under the old one, and drops what it had not started' do
    start_worker('--capacity', '1')
    orchestrator.handshake(resend_ms: 60_000)
    old = orchestrator.session
    done = orchestrator.batch({ step_id: 1 })
    orchestrator.take('batch_completion')
    running = orchestrator.batch({ step_id: 2, name: 'gate', context: { 'gate' => gate } },
                                 { step_id: 3, name: 'gate', context: { 'gate' => gate } },
                                 handler: 'Spec::GateHandler')
    orchestrator.take('partial_result') { |message| message['status'] == 'in_progress' }
    orchestrator.messages.clear
    # A refusal of the epoch that has welcomed the worker would be another worker's.
    orchestrator.epoch += 1
    orchestrator.control('refused', code: 'duplicate_session', message: 'taken', retry_ms: 10)
    orchestrator.until('another session') do
      orchestrator.all('hello').any? do |hello|
        hello['session'] != old
      end
    end
    orchestrator.messages.reject! { |message| message['session'] == old }
    hello = orchestrator.handshake
    expect(hello['previous_sessions']).to eq([old])
    replayed = orchestrator.take('partial_result') { |message| message['batch_id'] == done }
    expect(replayed.fields.values_at('session', 'sent_by')).to eq([old, hello['session']])
    open_gate
    late = orchestrator.take('partial_result') { |message| message['batch_id'] == running }
    expect(late.fields.values_at('step_id', 'session', 'sent_by')).to eq([2, old, hello['session']])
    # Nobody waits for step 3 any more: it never runs.
    completion = orchestrator.take('batch_completion') { |message| message['batch_id'] == running }
    expect(completion['total_steps']).to eq(1)
    orchestrator.take('worker_heartbeat') { |beat| (beat['held'] + beat['running']).empty? }
    expect(orchestrator.all('partial_result').map { |message| message['step_id'] }).not_to include(3)
  end

  %w[not_allowed version].each do |code|
    it "gives up with code 3 when it is refused for good (#{code})" do
      worker = start_worker
      hello = orchestrator.take('hello')
      orchestrator.instance_variable_set(:@session, hello['session'])
      orchestrator.control('refused', code: code, message: 'who are you', retry_ms: 0)
      expect(exit_code_of(worker)).to eq(3)
      expect(worker.log).to include(code, 'who are you')
    end
  end

  it 'stops starting steps while the outbox holds too many bytes, and loses nothing' do
    start_worker('--capacity', '2', '--prefetch', '20', '--outbox-bytes', (2**20).to_s)
    orchestrator.handshake(resend_ms: 60_000)
    large = { 'x' => 'y' * 150_000 }
    ids = (1..20).map { |number| orchestrator.batch({ step_id: number, context: large }) }
    20.times { orchestrator.take('batch_accepted') }
    beat = orchestrator.take('worker_heartbeat') do |message|
      message['held'].any? && message['running'].empty? && message['free'].zero?
    end
    # Seven reports fill the window; what was running when the seventh came is kept as well.
    expect(beat['unacked'].size).to be_between(7, 9)
    expect(beat['held'].size + beat['unacked'].size).to eq(20)
    2.times { orchestrator.take('worker_heartbeat') }
    expect(orchestrator.take('worker_heartbeat')['held']).to eq(beat['held'])
    orchestrator.auto_ack = true
    orchestrator.control('report_request', session: orchestrator.session, batch_id: ids.first)
    ids.each { |id| orchestrator.control('report_request', session: orchestrator.session, batch_id: id) }
    orchestrator.until('all twenty') do
      orchestrator.all('partial_result').map { |message| message['step_id'] }.uniq.size == 20
    end
  end

  it 'sends nothing again to an orchestrator that does not answer' do
    start_worker('--silence-ms', '1000')
    orchestrator.handshake(resend_ms: 50)
    orchestrator.batch({ step_id: 1 })
    orchestrator.take('batch_completion')
    orchestrator.heartbeats = false
    orchestrator.take('hello')
    orchestrator.messages.clear
    3.times { orchestrator.take('hello') }
    expect(orchestrator.all('partial_result')).to be_empty
    orchestrator.heartbeats = true
    orchestrator.handshake
    orchestrator.take('partial_result')
  end

  it 'stops starting steps while the outbox is full' do
    start_worker('--outbox-limit', '2', '--capacity', '1', '--prefetch', '10')
    orchestrator.handshake(resend_ms: 60_000)
    orchestrator.batch({ step_id: 1 })
    first = orchestrator.take('partial_result')
    completion = orchestrator.take('batch_completion')
    orchestrator.batch({ step_id: 2 })
    beat = orchestrator.take('worker_heartbeat') { |message| message['held'].any? }
    expect(beat['held'].first['step_id']).to eq(2)
    expect(orchestrator.all('partial_result')).to be_empty
    orchestrator.ack(first, completion)
    expect(orchestrator.take('partial_result')['step_id']).to eq(2)
  end
end
