# frozen_string_literal: true

require 'integration'

RSpec.describe 'A worker that is given an orchestrator and its standby' do
  include_context 'with a fake orchestrator'

  let(:place) { File.join(dir, 'standby') }
  let(:effects) { File.join(dir, 'effects.log') }

  after { @second&.close }

  # Both endpoints as one comma-separated list each.
  def start_with_both
    Dir.mkdir(place)
    env = { 'TASKER_EFFECTS_LOG' => effects,
            'TASKER_WORKER_STEPS_ENDPOINT' => "ipc://#{dir}/steps, ipc://#{place}/steps",
            'TASKER_WORKER_RESULTS_ENDPOINT' => "ipc://#{dir}/results,ipc://#{place}/results" }
    start_worker('--reconnect-max-ms', '200', env: env, endpoints: [])
  end

  def standby_takes_over = @second = FakeOrchestrator.new(place, epoch: 5)

  it 'follows the standby and ignores the old one when it speaks again' do
    start_with_both
    orchestrator.handshake(resend_ms: 20_000)
    id = orchestrator.batch({ step_id: 1 })
    orchestrator.take('batch_completion')
    # From here on the first one is frozen: it is not pumped. Its successor has the higher epoch.
    second = standby_takes_over
    hello = second.handshake(resend_ms: 20_000)
    expect(hello['session']).to eq(orchestrator.session)
    expect(hello['unacked']).to eq([{ 'batch_id' => id, 'step_id' => 1, 'attempt' => 1 }])
    second.ack(second.take('partial_result'), second.take('batch_completion'))
    second.take('worker_heartbeat') { |beat| beat['unacked'].empty? }
    second.messages.clear
    # The old one thaws and speaks with the lower epoch.
    orchestrator.control('heartbeat', n: 99)
    orchestrator.batch({ step_id: 2 })
    orchestrator.control('drain', session: orchestrator.session, deadline_ms: 1)
    orchestrator.control('refused', code: 'not_allowed', message: 'old', retry_ms: 1)
    second.batch({ step_id: 3 })
    expect(second.take('batch_completion')['completed_steps']).to eq(1)
    2.times { second.take('worker_heartbeat') }
    expect(second.all('hello') + second.all('batch_rejected')).to be_empty
    starts = effects_in(effects).select { |line| line['event'] == 'start' }
    expect(starts.map { |line| line['step_id'] }).to eq([1, 3])
  end

  it 'takes no ack of the old epoch for one' do
    start_with_both
    orchestrator.handshake
    orchestrator.batch({ step_id: 1 })
    reports = [orchestrator.take('partial_result'), orchestrator.take('batch_completion')]
    second = standby_takes_over
    second.handshake
    orchestrator.ack(*reports)
    second.messages.clear
    2.times { second.take('partial_result') }
    expect(second.take('worker_heartbeat')['unacked'].size).to eq(1)
  end

  it 'sends soon after a welcome what had to wait long' do
    start_with_both
    orchestrator.handshake(resend_ms: 25)
    orchestrator.batch({ step_id: 1 })
    7.times { orchestrator.take('partial_result') } # the eighth follows 1.6 s later
    second = standby_takes_over
    hello = second.take('hello')
    second.messages.clear
    from = Process.clock_gettime(Process::CLOCK_MONOTONIC)
    # No probe: the one that would follow the welcome is lost.
    second.as_session(hello['session']) { second.welcome(resend_ms: 25) }
    second.take('partial_result')
    expect(Process.clock_gettime(Process::CLOCK_MONOTONIC) - from).to be < 0.6
  end
end
