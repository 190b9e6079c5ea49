# frozen_string_literal: true

require 'spec_helper'

RSpec.describe TaskerWorker::Wire::Reader do
  let(:reader) { described_class.new }

  def batch(levels: 1, filler: '')
    step = { step_id: 1, task_id: 1, namespace: 'n', task_name: 't', task_version: '1', step_name: 's',
             handler_class: 'H', handler_config: {}, previous_results: {},
             task_context: (levels - 1).times.reduce({ 'x' => filler }) { |inner, _| { 'n' => inner } },
             metadata: { attempt: 1, retry_limit: 1, timeout_ms: 1, sequence: 1, total_steps: 1,
                         created_at: '2026-01-02T03:04:05Z', idempotency_key: 'k' } }
    JSON.generate({ message_type: 'step_batch_request', orchestrator_id: 'o', epoch: 1, handler_class: 'H',
                    batch_id: '0198c5a4-7d1e-7c3a-9f10-2b6d5e4f3a21', steps: [step] }, max_nesting: false)
  end

  def heartbeat(more)
    JSON.generate(message_type: 'heartbeat', orchestrator_id: 'o', epoch: 1, n: 1, more: more)
  end

  def code_of(body)
    reader.read(body)
    nil
  rescue TaskerWorker::Wire::DecodeError => e
    e.code
  end

  it 'tells a batch that is within the limits from one that is over them' do
    message, over = reader.read(batch)
    expect([message.type, over]).to eq(['step_batch_request', false])
    reader.announce(batch_bytes: batch.bytesize, depth: 4)
    expect([batch, batch(filler: 'x'), batch(levels: 2)].map { |body| reader.read(body).last })
      .to eq([false, true, true])
  end

  it 'reads a batch of up to twice the announced limit, or twice the default when that is larger' do
    reader.announce(batch_bytes: 100, depth: 4)
    expect([reader.read(batch(levels: 125)).last, code_of(batch(levels: 126))]).to eq([true, 'too_deep'])
    reader.announce(batch_bytes: 20 * 1024 * 1024, depth: 80)
    expect(reader.read(batch(levels: 77)).last).to be(false)
    expect([reader.read(batch(levels: 157)).last, code_of(batch(levels: 158))]).to eq([true, 'too_deep'])
    expect(reader.read(batch(filler: 'x' * (39 * 1024 * 1024))).last).to be(true)
    expect(code_of(batch(filler: 'x' * (40 * 1024 * 1024)))).to eq('too_large')
  end

  it 'refuses any other message over a limit' do
    reader.announce(batch_bytes: 200, depth: 3)
    expect([code_of(heartbeat([[1]])), code_of(heartbeat([[[1]]])), code_of(heartbeat('x' * 200))])
      .to eq([nil, 'too_deep', 'too_large'])
  end
end
