# frozen_string_literal: true

require 'integration'

RSpec.describe 'A worker process and its orchestrator' do
  include_context 'with a fake orchestrator'

  def final?(message) = message['status'] != 'in_progress'

  it 'introduces itself, proves its steps topic and beats' do
    worker = start_worker('--worker-id', 'w-1', '--capacity', '3')
    hello = orchestrator.handshake
    expect(hello['sdk_version']).to eq(TaskerWorker::VERSION)
    expect(hello.fields).to include('worker_id' => 'w-1', 'capacity' => 3,
                                    'prefetch' => 2, 'language' => 'ruby',
                                    'namespaces' => ['*'], 'pid' => worker.pid,
                                    'held' => [], 'running' => [])
    expect(hello['handlers']).to include('Spec::EchoHandler', 'Spec::GateHandler')
    beat = orchestrator.take('worker_heartbeat') { |message| message['seen_n'].positive? }
    expect(beat.fields).to include('held' => [], 'running' => [], 'unacked' => [], 'oldest_unacked_ms' => 0,
                                   'free' => 3)
  end

  it 'accepts and completes a batch without steps' do
    start_worker
    orchestrator.handshake
    id = orchestrator.batch
    expect(orchestrator.take('batch_accepted')['batch_id']).to eq(id)
    expect(orchestrator.take('batch_completion').fields)
      .to include('batch_id' => id, 'sequence' => 1, 'total_steps' => 0, 'step_summaries' => [])
  end

  it 'runs a step by the handler that it names, whatever class its batch has' do
    start_worker
    orchestrator.handshake
    orchestrator.batch({ step_id: 1 }, { step_id: 2, handler: 'Spec::EchoHandler' },
                       handler: 'Nobody::Handler')
    expect(orchestrator.take('partial_result')['step_id']).to eq(2)
    expect(orchestrator.take('batch_rejected')['steps'])
      .to eq([{ 'step_id' => 1, 'attempt' => 1, 'reason' => 'unknown_handler' }])
  end

  it 'runs a batch and reports each step and the completion' do
    start_worker
    orchestrator.handshake
    id = orchestrator.batch({ step_id: 11, context: { 'a' => 'ä' }, config: { 'from' => 'step' },
                              previous: { 'p' => { 'x' => 1 }, 'q' => nil } },
                            { step_id: 12, attempt: 2 })
    expect(orchestrator.take('batch_accepted')['batch_id']).to eq(id)
    completion = orchestrator.take('batch_completion')
    partials = orchestrator.all('partial_result')
    expect(partials.map { |partial| [partial['step_id'], partial['attempt'], partial['status']] })
      .to contain_exactly([11, 1, 'completed'], [12, 2, 'completed'])
    first = partials.find { |partial| partial['step_id'] == 11 }
    expect(first['output']).to eq('context' => { 'a' => 'ä' },
                                  'previous' => { 'p' => { 'x' => 1 }, 'q' => nil },
                                  'attempt' => 1, 'config' => { 'from' => 'step' })
    expect(completion.fields).to include('batch_id' => id, 'total_steps' => 2, 'completed_steps' => 2,
                                         'failed_steps' => 0, 'in_progress_steps' => 0, 'sequence' => 3)
    expect((partials << completion).map { |message| message['sequence'] }).to contain_exactly(1, 2, 3)
  end

  it 'tells failures that may be retried from permanent ones' do
    start_worker
    orchestrator.handshake
    orchestrator.batch({ step_id: 1, name: 'fail', context: { 'mode' => 'retry' } },
                       { step_id: 2, name: 'fail' },
                       handler: 'Spec::FailHandler')
    completion = orchestrator.take('batch_completion')
    expect(completion.fields).to include('completed_steps' => 0, 'failed_steps' => 2)
    reports = orchestrator.all('partial_result').to_h { |message| [message['step_id'], message] }
    expect(reports[1]['status']).to eq('failed')
    expect(reports[1]['error']).to include('retryable' => true, 'retry_after_seconds' => 2.5,
                                           'error_type' => 'RetryableError')
    expect(reports[2]['status']).to eq('error')
    expect(reports[2]['error']).to include('retryable' => false, 'error_code' => 'no_way')
  end

  it 'goes on after a handler that ended its thread, and after one that forked' do
    effects = File.join(dir, 'effects.log')
    start_worker('--capacity', '1', '--prefetch', '10', env: { 'TASKER_EFFECTS_LOG' => effects })
    orchestrator.handshake
    kinds = %w[thread fork thread fork]
    orchestrator.batch(*kinds.each_with_index.map do |kind, index|
      { step_id: index + 1, name: 'lost', context: { 'kind' => kind } }
    end, handler: 'Spec::LostHandler')
    completion = orchestrator.take('batch_completion')
    expect(completion.fields).to include('completed_steps' => 2, 'failed_steps' => 2)
    reports = orchestrator.all('partial_result').sort_by { |message| message['step_id'] }
    expect(reports.map { |message| message['error']&.fetch('error_code') })
      .to eq(['thread_ended', nil, 'thread_ended', nil])
    expect(effects_in(effects).select { |line| line['event'] == 'end' }.map { |line| line['step_id'] })
      .to eq([2, 4])
    beat = orchestrator.take('worker_heartbeat') { |message| message['running'].empty? }
    expect(beat['free']).to eq(1)
  end

  it 'never sends an output that is no JSON or too large' do
    start_worker
    orchestrator.handshake
    orchestrator.batch(*%w[nan object large].each_with_index.map do |kind, index|
      { step_id: index + 1, name: 'badoutput', context: { 'kind' => kind } }
    end, handler: 'Spec::BadOutputHandler')
    orchestrator.take('batch_completion')
    reports = orchestrator.all('partial_result').sort_by { |message| message['step_id'] }
    expect(reports.map { |message| [message['status'], message['error']['error_code']] })
      .to eq(([%w[error unserialisable_output]] * 2) + [%w[error output_too_large]])
    expect(reports[1]['error']['message']).to include('output.x')
  end

  it 'answers a known batch again and does not run it again' do
    effects = File.join(dir, 'effects.log')
    start_worker(env: { 'TASKER_EFFECTS_LOG' => effects })
    orchestrator.handshake(resend_ms: 60_000)
    id = orchestrator.batch({ step_id: 5 })
    orchestrator.take('batch_completion')
    sent = orchestrator.frames.select { |frame| frame.include?(id) && !frame.include?('worker_heartbeat') }
    orchestrator.batch({ step_id: 5 }, id: id)
    orchestrator.until('the same answers again') { orchestrator.frames.count(sent.last) == 2 }
    expect(sent.map { |frame| orchestrator.frames.count(frame) }).to eq([2, 2, 2])
    lines = effects_in(effects)
    expect(lines.map { |line| line.values_at('event', 'step_id', 'attempt', 'idempotency_key') })
      .to eq([['start', 5, 1, 'inst-5'], ['end', 5, 1, 'inst-5']])
    expect(lines[0]['monotonic_ns']).to be < lines[1]['monotonic_ns']
  end

  it 'sends reports again, byte for byte, until they are acked' do
    start_worker
    orchestrator.handshake(resend_ms: 50)
    orchestrator.batch({ step_id: 5 })
    partial = orchestrator.take('partial_result')
    completion = orchestrator.take('batch_completion')
    frame = orchestrator.frames.find { |text| text.include?('"partial_result"') }
    orchestrator.until('a third sending') { orchestrator.frames.count(frame) >= 3 }
    unacked = { 'batch_id' => partial['batch_id'], 'step_id' => 5, 'attempt' => 1 }
    orchestrator.take('worker_heartbeat') do |beat|
      beat['unacked'] == [unacked] && beat['oldest_unacked_ms'].positive?
    end
    orchestrator.ack(partial, completion)
    orchestrator.take('worker_heartbeat') { |beat| beat['unacked'].empty? && beat['oldest_unacked_ms'].zero? }
    orchestrator.pump
    count = orchestrator.frames.count(frame)
    3.times { orchestrator.take('worker_heartbeat') }
    expect(orchestrator.frames.count(frame)).to eq(count)
  end

  it 'sends again what is asked for' do
    start_worker
    orchestrator.handshake(resend_ms: 60_000)
    id = orchestrator.batch({ step_id: 5 }, { step_id: 6 })
    orchestrator.take('batch_completion')
    orchestrator.messages.clear
    orchestrator.control('report_request', session: orchestrator.session, batch_id: id, step_ids: [6])
    expect(orchestrator.take('partial_result')['step_id']).to eq(6)
    expect(orchestrator.all('partial_result') + orchestrator.all('batch_completion')).to be_empty
  end

  it 'stops a report that the orchestrator refuses' do
    worker = start_worker
    orchestrator.handshake(resend_ms: 50)
    id = orchestrator.batch({ step_id: 5 })
    orchestrator.take('batch_completion')
    orchestrator.control('ack', session: orchestrator.session, batches: [{ batch_id: id, sequences: [2] }],
                                rejected: [{ batch_id: id, sequence: 1, code: 'wrong_session' }])
    orchestrator.take('worker_heartbeat') { |beat| beat['unacked'].empty? }
    orchestrator.until('the log line') { worker.log.include?('code=wrong_session') }
  end

  it 'refuses what it cannot take' do
    start_worker('--capacity', '1', '--prefetch', '2')
    orchestrator.handshake
    id = orchestrator.batch({ step_id: 1, name: 'gate', context: { 'gate' => gate } }, { step_id: 2 },
                            { step_id: 3 }, { step_id: 4, handler: 'Nobody::Handler' },
                            handler: 'Spec::GateHandler')
    rejected = orchestrator.take('batch_rejected')
    expect(rejected['steps'].map { |step| [step['step_id'], step['reason']] })
      .to eq([[3, 'over_capacity'], [4, 'unknown_handler']])
    expect(orchestrator.take('batch_accepted')['batch_id']).to eq(id)
    beat = orchestrator.take('worker_heartbeat') { |message| message['running'].any? }
    expect([beat['running'], beat['held']].map { |list| list.map { |ref| ref['step_id'] } }).to eq([[1], [2]])
    orchestrator.control('cancel', session: orchestrator.session, reason: 'test',
                                   steps: [{ batch_id: id, step_id: 2, attempt: 1 }])
    cancelled = orchestrator.take('batch_rejected') { |message| message['sequence'] > rejected['sequence'] }
    expect(cancelled['steps']).to eq([{ 'step_id' => 2, 'attempt' => 1, 'reason' => 'cancelled' }])
    open_gate
    expect(orchestrator.take('batch_completion').fields).to include('total_steps' => 1,
                                                                    'completed_steps' => 1)
  end

  def reasons(rejected) = rejected['steps'].to_h { |step| [step['step_id'], step['reason']] }

  it 'hands back a batch that is over the announced size, whole, and again when it is repeated' do
    effects = File.join(dir, 'effects.log')
    start_worker(env: { 'TASKER_EFFECTS_LOG' => effects })
    orchestrator.limits = orchestrator.limits.merge('batch_bytes' => 2000)
    orchestrator.handshake(resend_ms: 60_000)
    large = [{ step_id: 1, context: { 'x' => 'y' * 2000 } }, { step_id: 2, handler: 'Nobody::Handler' }]
    id = orchestrator.batch(*large)
    rejected = orchestrator.take('batch_rejected')
    expect(reasons(rejected)).to eq(1 => 'too_large', 2 => 'too_large')
    frame = orchestrator.frames.find { |text| text.include?('"batch_rejected"') }
    orchestrator.batch(*large, id: id)
    orchestrator.until('the same answer again') { orchestrator.frames.count(frame) == 2 }
    orchestrator.ack(rejected)
    orchestrator.batch({ step_id: 3 })
    orchestrator.take('batch_completion')
    expect(orchestrator.all('batch_accepted').map { |message| message['batch_id'] }).not_to include(id)
    expect(effects_in(effects).map { |line| line['step_id'] }).to eq([3, 3])
  end

  it 'hands back a batch that is nested deeper than announced' do
    start_worker
    orchestrator.handshake
    orchestrator.batch({ step_id: 1, context: nested(70) }) # over the default, 64
    expect(reasons(orchestrator.take('batch_rejected'))).to eq(1 => 'too_large')
    orchestrator.limits = orchestrator.limits.merge('depth' => 10)
    orchestrator.welcome
    orchestrator.batch({ step_id: 2, context: nested(10) })
    expect(reasons(orchestrator.take('batch_rejected'))).to eq(2 => 'too_large')
    orchestrator.batch({ step_id: 3 })
    orchestrator.take('batch_completion')
  end

  it 'drops what is over a limit and is no batch' do
    worker = start_worker
    orchestrator.limits = orchestrator.limits.merge('batch_bytes' => 2000, 'depth' => 10)
    orchestrator.handshake
    orchestrator.control('cancel', session: orchestrator.session, reason: 'r' * 2000, steps: [])
    orchestrator.control('cancel', session: orchestrator.session, reason: 'r', steps: [], more: nested(10))
    orchestrator.batch({ step_id: 1, context: { 'x' => 'y' * (33 * 1024 * 1024) } }) # not even read
    orchestrator.until('three complaints') { worker.log.scan(/code=too_(?:large|deep)/).size == 3 }
    orchestrator.batch({ step_id: 2 })
    orchestrator.take('batch_completion')
    expect(orchestrator.all('batch_rejected')).to be_empty
  end

  it 'keeps outputs within the announced size and depth' do
    start_worker
    orchestrator.limits = orchestrator.limits.merge('result_bytes' => 1000, 'depth' => 10)
    orchestrator.handshake
    bad = { name: 'badoutput', handler: 'Spec::BadOutputHandler', context: { 'kind' => 'deep' } }
    orchestrator.batch({ step_id: 1, context: { 'x' => 'y' * 1000 } }, { step_id: 2, **bad }, { step_id: 3 })
    orchestrator.take('batch_completion')
    errors = orchestrator.all('partial_result').to_h { |report| [report['step_id'], report['error'] || {}] }
    expect(errors.transform_values { |error| error['error_code'] })
      .to eq(1 => 'output_too_large', 2 => 'output_too_deep', 3 => nil)
    expect(errors[2].values_at('error_type', 'retryable')).to eq(['OutputError', false])
  end

  # An object of so many levels.
  def nested(levels) = levels.times.reduce(1) { |inner, _| { 'n' => inner } }

  it 'reports a time-out, keeps the slot taken, and drops the late result' do
    worker = start_worker('--capacity', '1', '--prefetch', '1')
    orchestrator.handshake
    orchestrator.batch({ step_id: 1, name: 'gate', context: { 'gate' => gate }, timeout_ms: 300 },
                       handler: 'Spec::GateHandler')
    report = orchestrator.take('partial_result') { |message| final?(message) }
    expect(report['status']).to eq('failed')
    expect(report['error']).to include('error_type' => 'TimeoutError', 'retryable' => true,
                                       'handler_stopped' => false)
    expect(report['execution_time_ms']).to be >= 300
    orchestrator.take('batch_completion')
    orchestrator.messages.clear
    beat = orchestrator.take('worker_heartbeat')
    expect([beat['running'].map { |ref| ref['step_id'] }, beat['unacked']]).to eq([[1], []])
    orchestrator.batch({ step_id: 2 })
    expect(orchestrator.take('batch_rejected')['steps'].first['reason']).to eq('over_capacity')
    open_gate
    orchestrator.take('worker_heartbeat') { |message| message['running'].empty? }
    orchestrator.batch({ step_id: 3 })
    third = orchestrator.take('partial_result') { |message| message['step_id'] == 3 }
    expect(third['status']).to eq('completed')
    orchestrator.until('the log line') { worker.log.include?('late result dropped') }
    expect(orchestrator.frames.grep(/"partial_result".*"step_id":1,.*"completed"/)).to be_empty
  end

  it 'lets a handler that notices its time-out end, and says that it has' do
    start_worker
    orchestrator.handshake
    orchestrator.batch({ step_id: 1, name: 'gate', context: { 'gate' => gate, 'stoppable' => true },
                         timeout_ms: 250 }, handler: 'Spec::GateHandler')
    report = orchestrator.take('partial_result') { |message| final?(message) }
    expect(report['error']).to include('error_type' => 'TimeoutError', 'retryable' => true,
                                       'handler_stopped' => true)
    orchestrator.take('batch_completion')
    orchestrator.messages.clear
    expect(orchestrator.take('worker_heartbeat')['running']).to be_empty
  end

  it 'says in_progress once for a handler that takes longer, without waiting for an ack' do
    start_worker
    orchestrator.handshake(resend_ms: 50)
    orchestrator.batch({ step_id: 1, name: 'gate', context: { 'gate' => gate } },
                       handler: 'Spec::GateHandler')
    hint = orchestrator.take('partial_result')
    expect([hint['status'], hint['sequence']]).to eq(['in_progress', 1])
    expect(hint['execution_time_ms']).to be >= 200
    beat = orchestrator.take('worker_heartbeat') { |message| message['running'].any? }
    expect(beat['running'].first['age_ms']).to be >= 0
    expect(beat['unacked']).to be_empty
    open_gate
    final = orchestrator.take('partial_result') { |message| final?(message) }
    expect([final['status'], final['sequence']]).to eq(['completed', 2])
    expect(orchestrator.frames.count { |frame| frame.include?('"in_progress"') }).to eq(1)
  end

  it 'beats on while a handler holds the interpreter' do
    start_worker('--capacity', '2')
    orchestrator.handshake(heartbeat_ms: 200)
    orchestrator.batch({ step_id: 1, name: 'busy', context: { 'gate' => gate } },
                       { step_id: 2, name: 'busy', context: { 'gate' => gate } },
                       handler: 'Spec::BusyHandler')
    orchestrator.take('partial_result')
    from = Process.clock_gettime(Process::CLOCK_MONOTONIC)
    5.times { orchestrator.take('worker_heartbeat', limit: 3) { |beat| beat['running'].size == 2 } }
    expect(Process.clock_gettime(Process::CLOCK_MONOTONIC) - from).to be < 5
    open_gate
    expect(orchestrator.take('batch_completion')['completed_steps']).to eq(2)
  end

  it 'beats on, and ends, while nobody reads its log' do
    _reader, writer = IO.pipe
    worker = start_worker('--capacity', '2', stderr: writer)
    writer.close
    orchestrator.handshake(heartbeat_ms: 100)
    orchestrator.batch({ step_id: 1, timeout_ms: 300 }, handler: 'Spec::NoisyHandler')
    report = orchestrator.take('partial_result') { |message| final?(message) }
    expect(report['error']).to include('error_type' => 'TimeoutError', 'handler_stopped' => false)
    # Their log lines find no room any more.
    orchestrator.batch(*3.times.map { |n| { step_id: n + 2 } })
    2.times { orchestrator.take('batch_completion') }
    5.times { orchestrator.take('worker_heartbeat') { |beat| beat['running'].size == 1 } }
    orchestrator.auto_ack = true
    worker.signal('TERM')
    expect(orchestrator.take('goodbye')['reason']).to eq('handlers_running')
    expect(exit_code_of(worker)).to eq(0)
  end

  it 'starts a claim_first step only with a fitting grant' do
    start_worker
    orchestrator.handshake(resend_ms: 100)
    id = orchestrator.batch({ step_id: 1, claim_first: true }, { step_id: 2, claim_first: true })
    ref = { session: orchestrator.session, batch_id: id, attempt: 1 }
    orchestrator.take('start_request') { |message| message['step_id'] == 1 && message['n'] == 3 }
    orchestrator.control('start_granted', **ref, step_id: 1, n: 99, start_window_ms: 60_000)
    orchestrator.control('start_granted', **ref, step_id: 1, n: 1, start_window_ms: 0)
    orchestrator.take('start_request') { |message| message['step_id'] == 1 && message['n'] > 4 }
    expect(orchestrator.all('partial_result')).to be_empty
    expect(orchestrator.all('batch_rejected')).to be_empty # a later request has a window of its own
    orchestrator.control('start_granted', **ref, step_id: 1, n: 3, start_window_ms: 60_000)
    expect(orchestrator.take('partial_result')['step_id']).to eq(1)
    request = orchestrator.take('start_request') { |message| message['step_id'] == 2 }
    orchestrator.control('start_denied', **ref, step_id: 2, n: request['n'], reason: 'stale')
    expect(orchestrator.take('batch_rejected')['steps'].first).to include('step_id' => 2,
                                                                          'reason' => 'start_denied')
    expect(orchestrator.take('batch_completion')['total_steps']).to eq(1)
  end

  def monotonic = Process.clock_gettime(Process::CLOCK_MONOTONIC)

  def started
    effects_in(@effects).select { |line| line['event'] == 'start' }.map { |line| line['step_id'] }
  end

  it 'counts the start window from the request, not from the grant' do
    @effects = File.join(dir, 'effects.log')
    start_worker(env: { 'TASKER_EFFECTS_LOG' => @effects })
    orchestrator.handshake(resend_ms: 20_000)
    id = orchestrator.batch({ step_id: 1, claim_first: true })
    orchestrator.take('start_request')
    from = monotonic
    orchestrator.until('400 ms') { monotonic > from + 0.4 }
    ref = { session: orchestrator.session, batch_id: id, step_id: 1, attempt: 1, n: 1 }
    orchestrator.control('start_granted', **ref, start_window_ms: 300)
    expect(orchestrator.take('batch_rejected')['steps'])
      .to eq([{ 'step_id' => 1, 'attempt' => 1, 'reason' => 'start_window_missed' }])
    orchestrator.control('start_granted', **ref, start_window_ms: 60_000) # too late to change its mind
    orchestrator.batch({ step_id: 2 })
    orchestrator.take('batch_completion')
    expect(started).to eq([2])
  end

  it 'does not start what it was granted while it was frozen past the window' do
    @effects = File.join(dir, 'effects.log')
    worker = start_worker(env: { 'TASKER_EFFECTS_LOG' => @effects })
    orchestrator.handshake(resend_ms: 20_000)
    id = orchestrator.batch({ step_id: 1, claim_first: true })
    orchestrator.take('start_request')
    from = monotonic
    worker.freeze_process
    # In time, but it is not read in time.
    orchestrator.control('start_granted', session: orchestrator.session, batch_id: id, step_id: 1, attempt: 1,
                                          n: 1, start_window_ms: 500)
    orchestrator.until('the end of the window') { monotonic > from + 0.7 }
    worker.signal('CONT')
    expect(orchestrator.take('batch_rejected')['steps'].first['reason']).to eq('start_window_missed')
    orchestrator.batch({ step_id: 2 })
    orchestrator.take('batch_completion')
    expect(started).to eq([2])
  end

  it 'sends its results after it was frozen, and honours what was cancelled meanwhile' do
    @effects = File.join(dir, 'effects.log')
    worker = start_worker('--capacity', '2', '--prefetch', '2', env: { 'TASKER_EFFECTS_LOG' => @effects })
    orchestrator.handshake(resend_ms: 20_000)
    gates = { 1 => { 'gate' => gate }, 2 => { 'gate' => gate('never'), 'stoppable' => true } }
    ids = gates.map do |number, context|
      orchestrator.batch({ step_id: number, name: 'gate', context: context }, handler: 'Spec::GateHandler')
    end
    ids << orchestrator.batch({ step_id: 3 })
    2.times { orchestrator.take('partial_result') }
    orchestrator.take('worker_heartbeat') { |beat| beat['running'].size == 2 && beat['held'].size == 1 }
    worker.freeze_process
    # Its lease ends, its attempts become stale; the cancel waits in its socket.
    stale = [2, 3].map { |number| { batch_id: ids[number - 1], step_id: number, attempt: 1 } }
    orchestrator.control('cancel', session: orchestrator.session, reason: 'lease over', steps: stale)
    from = monotonic
    orchestrator.until('the end of the lease') { monotonic > from + 1 }
    worker.signal('CONT')
    stopped = orchestrator.take('partial_result') { |message| final?(message) && message['step_id'] == 2 }
    expect(stopped['error']['message']).to eq('stopped: lease over')
    expect(orchestrator.take('batch_rejected')['steps'])
      .to eq([{ 'step_id' => 3, 'attempt' => 1, 'reason' => 'cancelled' }])
    open_gate
    orchestrator.take('partial_result') do |message|
      message['step_id'] == 1 && message['status'] == 'completed'
    end
    expect(started).to contain_exactly(1, 2)
  end

  # [level, msg, fields] of every line of the worker's log.
  def log_of(worker)
    worker.log.lines.map do |line|
      pairs = line.chomp.scan(/(\w+)=("(?:[^"\\]|\\.)*"|\S+)/).to_h
      fields = pairs.transform_values { |text| text.start_with?('"') ? JSON.parse(text) : text }
      [fields.delete('level'), fields.delete('msg'), fields]
    end
  end

  it 'logs each event with the names that all SDKs share' do
    worker = start_worker('--worker-id', 'w-1')
    orchestrator.handshake
    id = orchestrator.batch({ step_id: 1, name: 'fail' }, { step_id: 2, handler: 'Nobody::Handler' },
                            handler: 'Spec::FailHandler')
    orchestrator.auto_ack = true
    orchestrator.batch({ step_id: 3 })
    2.times { orchestrator.take('batch_completion') }
    orchestrator.control('drain', session: 'f' * 16, deadline_ms: 1) # not for this session
    orchestrator.control('drain', session: orchestrator.session, deadline_ms: 5000)
    orchestrator.control('ack', session: orchestrator.session, rejected: [],
                                batches: [{ batch_id: id, sequences: [1, 2, 3] }])
    expect(exit_code_of(worker)).to eq(0)
    lines = log_of(worker)
    who = { 'worker_id' => 'w-1', 'session' => orchestrator.session }
    expect(lines.drop_while { |_, msg,| msg != 'worker starts' }.map(&:last)).to all(include(who))
    expect(lines.assoc('info').last).to include('namespaces' => '*') # the first line of that level: it starts
    found = lines.to_h { |level, msg, fields| [msg, [level, fields.keys - %w[time worker_id session]]] }
    step = %w[task_id step_id attempt step_name batch_id]
    expect(found).to include(
      'worker starts' => ['info', %w[pid capacity handlers namespaces steps_endpoints results_endpoints]],
      'new epoch' => ['info', %w[epoch orchestrator_id]], 'welcomed' => ['info', %w[epoch orchestrator_id]],
      'ready' => ['info', %w[epoch orchestrator_id]],
      'steps handed back' => ['info', %w[batch_id reason steps]],
      'step completed' => ['debug', step + %w[execution_ms]],
      'step failed' => ['warn', step + %w[status error_type error_code error execution_ms backtrace]],
      'message for another session ignored' => ['error', ['message_type']],
      'draining' => ['info', %w[reason limit_ms unfinished unacked]],
      'goodbye' => ['info', %w[reason exit_code]]
    )
  end

  it 'ignores messages it cannot understand and goes on' do
    worker = start_worker
    orchestrator.handshake
    orchestrator.steps('novelty', a: 1)
    orchestrator.steps('step_batch_request', batch_id: 'x', handler_class: 'Spec::EchoHandler', steps: [])
    orchestrator.batch({ step_id: 9 })
    orchestrator.take('batch_completion')
    orchestrator.until('both log lines') do
      %w[unknown_type out_of_range].all? { |code| worker.log.include?("code=#{code}") }
    end
  end
end
