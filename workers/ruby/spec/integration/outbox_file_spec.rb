# frozen_string_literal: true

require 'integration'

RSpec.describe 'A worker with an outbox file' do
  include_context 'with a fake orchestrator'

  let(:path) { File.join(dir, 'outbox') }
  let(:effects) { File.join(dir, 'effects.log') }

  def start_with_file(*options)
    start_worker('--outbox', path, *options,
                 env: { 'TASKER_EFFECTS_LOG' => effects })
  end

  def starts
    effects_in(effects).select { |line| line['event'] == 'start' }.map { |line| line['step_id'] }
  end

  def kill(worker)
    worker.signal('KILL')
    orchestrator.until('its death') { worker.ended? }
    orchestrator.messages.clear
    orchestrator.frames.clear
  end

  it 'is succeeded by one that sends what it could not, and runs nothing again' do
    worker = start_with_file
    old = orchestrator.handshake['session']
    id = orchestrator.batch({ step_id: 1, context: { 'ü' => 'ö' } },
                            { step_id: 2, handler: 'Nobody::Handler' })
    report = orchestrator.take('partial_result')
    completion = orchestrator.take('batch_completion')
    rejection = orchestrator.take('batch_rejected')
    frame = orchestrator.frames.find { |text| text.include?('"batch_rejected"') }
    kill(worker)
    successor = start_with_file
    hello = orchestrator.handshake
    expect(hello['previous_sessions']).to eq([old])
    expect(hello['unacked'].map { |ref| ref.values_at('batch_id', 'step_id') })
      .to contain_exactly([id, 1], [id, 2])
    replayed = [orchestrator.take('partial_result'), orchestrator.take('batch_completion')]
    # The same messages, with the original session, and who sends them.
    expect(replayed.map(&:fields)).to eq([report, completion].map do |message|
      message.fields.merge('sent_by' => hello['session'])
    end)
    orchestrator.until('the hand-back, unchanged') { orchestrator.frames.include?(frame) }
    # Acks of reports come to sent_by, those of hand-backs to the session that they name.
    orchestrator.ack(report, completion)
    orchestrator.take('worker_heartbeat') { |beat| beat['unacked'].map { |ref| ref['step_id'] } == [2] }
    orchestrator.as_session(old) { orchestrator.ack(rejection) }
    orchestrator.take('worker_heartbeat') { |beat| beat['unacked'].empty? }
    orchestrator.auto_ack = true
    orchestrator.batch({ step_id: 3 })
    orchestrator.take('batch_completion') { |message| message['batch_id'] != id }
    expect(starts).to eq([1, 3])
    successor.signal('TERM')
    expect(orchestrator.take('goodbye')['reason']).to eq('drained')
    expect(exit_code_of(successor)).to eq(0)
    expect(File.read(path)).to eq("tasker-outbox 1\n")
  end

  it 'keeps a result that was made while nobody listened' do
    worker = start_with_file
    orchestrator.handshake
    id = orchestrator.batch({ step_id: 1, name: 'gate', context: { 'gate' => gate } },
                            handler: 'Spec::GateHandler')
    orchestrator.take('partial_result')
    orchestrator.close
    open_gate
    orchestrator.wait('the report on the disk') { File.binread(path).include?('"batch_completion"') }
    worker.kill
    orchestrator.messages.clear # a hello of the dead one may still stand there
    orchestrator.epoch = 2
    orchestrator.open
    start_with_file
    orchestrator.handshake
    report = orchestrator.take('partial_result') { |message| message['status'] == 'completed' }
    expect([report['batch_id'], report['sent_by']]).to eq([id, orchestrator.session])
    expect(orchestrator.take('batch_completion')['completed_steps']).to eq(1)
    expect(starts).to eq([1])
  end

  it 'names every session whose reports it has' do
    sessions = [1, 2].map do |number|
      worker = start_with_file
      hello = orchestrator.handshake(resend_ms: 60_000)
      orchestrator.batch({ step_id: number })
      orchestrator.take('batch_completion') { |message| message['session'] == hello['session'] }
      kill(worker)
      hello['session']
    end
    start_with_file
    expect(orchestrator.handshake['previous_sessions']).to eq(sessions)
    reports = Array.new(2) { orchestrator.take('partial_result') }
    expect(reports.map { |report| report.fields.values_at('step_id', 'session', 'sent_by') })
      .to contain_exactly([1, sessions[0], orchestrator.session], [2, sessions[1], orchestrator.session])
  end

  it 'shares its file with nobody' do
    first = start_with_file
    orchestrator.handshake
    second = start_with_file
    expect(exit_code_of(second)).to eq(2)
    expect(second.log).to include("another worker uses it (process #{first.pid})")
    expect(first.ended?).to be_nil
  end

  it 'pauses while the disk is full, and goes on when there is room' do
    worker = start_with_file('--capacity', '1', '--prefetch', '10')
    orchestrator.handshake(resend_ms: 60_000)
    # No file of this process may grow beyond this size: to it, the disk is full.
    limit_files(worker, '150000')
    large = { 'x' => 'y' * 60_000 }
    [1, 2].each do |number|
      orchestrator.batch({ step_id: number, context: large })
      orchestrator.take('batch_completion')
    end
    orchestrator.messages.clear
    orchestrator.batch({ step_id: 3, context: large })
    orchestrator.until('the complaint') { worker.log.include?('the outbox file cannot be written') }
    (4..6).each { |number| orchestrator.batch({ step_id: number, context: large }) }
    beat = orchestrator.take('worker_heartbeat') { |message| message['held'].size == 3 }
    expect([beat['held'], beat['unacked']].map { |list| list.map { |ref| ref['step_id'] }.uniq })
      .to eq([[4, 5, 6], [1, 2, 3]])
    expect([beat['free'], beat['running']]).to eq([0, []])
    expect(orchestrator.all('partial_result')).to be_empty
    limit_files(worker, 'unlimited')
    reported = Array.new(4) { orchestrator.take('partial_result')['step_id'] }
    expect(reported).to eq([3, 4, 5, 6])
    orchestrator.until('the log line') { worker.log.include?('the outbox file can be written again') }
  end

  def limit_files(worker, size)
    expect(system('prlimit', '--pid', worker.pid.to_s, "--fsize=#{size}:unlimited")).to be(true)
  end
end
