# frozen_string_literal: true

require 'spec_helper'

RSpec.describe TaskerWorker::Settings do
  around { |example| Dir.mktmpdir { |dir| Dir.chdir(dir) { example.run } } }

  def settings(options = {}, env: {}) = described_class.new(options, env: env)

  it 'runs on defaults without a file' do
    expect(settings.steps_endpoints).to eq(['tcp://127.0.0.1:5555'])
    expect(settings.results_endpoints).to eq(['tcp://127.0.0.1:5556'])
    expect(settings.in_flight_max).to eq(20)
    expect([settings.outbox_limit, settings.outbox_bytes,
            settings.outbox_path]).to eq([10_000, 64 * (2**20), nil])
    expect([settings.silence_ms, settings.reconnect_max_ms,
            settings.resend_max_ms]).to eq([5000, 2000, 30_000])
  end

  it 'names a worker by host, language and process unless told otherwise' do
    expect(settings.worker_id).to match(/\A[^\s]+-ruby-#{Process.pid}\z/)
    expect(settings({ worker_id: 'w' }).worker_id).to eq('w')
    allow(Socket).to receive(:gethostname).and_return("ho\xffst\n")
    expect(settings.worker_id).to eq("ho\uFFFDst\uFFFD-ruby-#{Process.pid}")
  end

  it 'takes work of all namespaces unless told otherwise' do
    expect(settings.namespaces).to eq(['*'])
    expect(settings({ namespaces: %w[a b a] }).namespaces).to eq(%w[a b])
  end

  it 'reads lists and strings from the file, and defaults where keys are missing' do
    File.write('z.yaml',
               "step_execution:\n  handler_step_subscriber: [ipc:///a, 'tcp://*:7']\n  batch_size: 10\n")
    expect(settings({ config: 'z.yaml' }).steps_endpoints).to eq(['ipc:///a', 'tcp://127.0.0.1:7'])
    expect(settings({ config: 'z.yaml' }).results_endpoints).to eq(['tcp://127.0.0.1:5556'])
    File.write('b.yaml', "step_execution:\n  step_publisher: tcp://*:8\n  rust_result_subscriber: ipc:///r\n")
    bound = settings({ config: 'b.yaml' })
    expect([bound.steps_endpoints, bound.results_endpoints]).to eq([['tcp://127.0.0.1:8'], ['ipc:///r']])
  end

  it 'lets options win over the worker\'s variables, those over the common ones, those over the file' do
    Dir.mkdir('config')
    File.write('config/zeromq.yaml', "step_execution: { handler_step_subscriber: 'ipc:///file' }")
    common = { 'TASKER_STEPS_ENDPOINT' => 'tcp://*:1' }
    own = common.merge('TASKER_WORKER_STEPS_ENDPOINT' => 'ipc:///own,ipc:///standby')
    expect(settings.steps_endpoints).to eq(['ipc:///file'])
    expect(settings(env: common).steps_endpoints).to eq(['tcp://127.0.0.1:1'])
    expect(settings(env: own).steps_endpoints).to eq(['ipc:///own', 'ipc:///standby'])
    expect(settings({ steps_endpoints: ['ipc:///opt'] }, env: own).steps_endpoints).to eq(['ipc:///opt'])
  end

  { { capacity: 0 } => /--capacity: must be 1 to/, { prefetch: 1000 } => /--prefetch/,
    { log_level: 'loud' } => /--log-level/, { config: 'none.yaml' } => /--config: cannot read none.yaml/,
    { steps_endpoints: ['http://x'] } => /--steps-endpoint: "http/,
    { outbox_bytes: 1000 } => /--outbox-bytes: must be 1048576/, { outbox_path: '' } => /--outbox: must name/,
    { silence_ms: 10 } => /--silence-ms/, { reconnect_max_ms: 1 } => /--reconnect-max-ms/,
    { resend_max_ms: 1 } => /--resend-max-ms/, { worker_id: '' } => /--worker-id/,
    { worker_id: "a\nb" } => /--worker-id/, { worker_id: "\xff" } => /--worker-id/,
    { worker_id: 'x' * 201 } => /--worker-id/ }.each do |options, message|
    it("refuses #{options}") {
      expect do
        settings(options)
      end.to raise_error(TaskerWorker::ConfigurationError, message)
    }
  end
end
