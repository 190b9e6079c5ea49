# frozen_string_literal: true

require 'spec_helper'
require 'tasker_worker/conformance'

RSpec.describe TaskerWorker::Wire::Codec do
  subject(:codec) { described_class.to_worker }

  let(:heartbeat) { { message_type: 'heartbeat', orchestrator_id: 'o', epoch: 3, n: 7 } }

  def code_of(body)
    codec.decode(body)
    nil
  rescue TaskerWorker::Wire::DecodeError => e
    e.code
  end

  it 'keeps known fields, drops unknown ones and normalises the type' do
    message = codec.decode(JSON.generate(heartbeat.merge(message_type: 'Heartbeat', future: [1])))
    expect(message.type).to eq('heartbeat')
    expect(message.fields).to eq('message_type' => 'heartbeat', 'orchestrator_id' => 'o', 'epoch' => 3,
                                 'n' => 7)
    expect(message.fields).to be_frozen
  end

  # What a number in a context becomes; nil when the message is refused as out of range.
  def number(text)
    metadata = { attempt: 1, retry_limit: 3, timeout_ms: 1, sequence: 1, total_steps: 1,
                 created_at: '2026-01-02T03:04:05Z', idempotency_key: 'k' }
    step = { step_id: 1, task_id: 1, namespace: 'n', task_name: 't', task_version: '1', step_name: 's',
             handler_class: 'H', handler_config: {}, task_context: { x: 1234 }, previous_results: {},
             metadata: metadata }
    body = JSON.generate(message_type: 'step_batch_request', orchestrator_id: 'o', epoch: 1,
                         handler_class: 'H', batch_id: SecureRandom.uuid, steps: [step])
    codec.decode(body.sub('1234', text))['steps'][0]['task_context']['x']
  rescue TaskerWorker::Wire::DecodeError => e
    raise unless e.code == 'out_of_range'
  end

  it 'hands long numbers on unchanged, and never as Infinity' do
    expect(number('9' * 5000)).to eq((10**5000) - 1)
    expect(number("-#{'9' * 131_072}")).to eq(-((10**131_072) - 1))
    { '1e400' => 10**400, '-1.5E+400' => -15 * (10**399), "#{'9' * 309}.5" => (10**309) - 1,
      "1#{'0' * 250}e99" => 10**349, '1e131071' => 10**131_071 }.each do |text, value|
      expect(number(text)).to eql(value)
    end
    { '1e308' => 1e308, '1e-400' => 0.0, '2.5' => 2.5, "0.#{'0' * 400}1e401" => 1.0 }.each do |text, value|
      expect(number(text)).to eql(value)
    end
    ['1' * 131_073, '1e131072', "1e#{'9' * 50}", '9' * 1_000_000].each do |text|
      expect(number(text)).to be_nil
    end
    expect(number("\"#{'9' * 131_073}\"")).to eq('9' * 131_073)
  end

  it 'names the field that is wrong, with its place' do
    body = JSON.generate(message_type: 'ack', orchestrator_id: 'o', epoch: 1, session: '0' * 16, rejected: [],
                         batches: [{ batch_id: SecureRandom.uuid, sequences: [1, 0] }])
    expect { codec.decode(body) }
      .to raise_error(TaskerWorker::Wire::DecodeError, /batches\[0\]\.sequences\[1\].*not allowed/)
  end

  {
    'no JSON' => ['{"a":', 'malformed_json'],
    'a comment' => ['{"message_type":"heartbeat"/*x*/}', 'malformed_json'],
    'an unknown escape' => ['{"message_type":"heartbeat","x":"\\y"}', 'malformed_json'],
    'NaN' => ['{"message_type":"heartbeat","n":NaN}', 'malformed_json'],
    'text after the end' => ['{"message_type":"heartbeat"} x', 'malformed_json'],
    'nothing' => ['', 'malformed_json'],
    'an array' => ['[]', 'wrong_type'],
    'bytes that are not UTF-8' => ["{\"message_type\":\"\xff\"}", 'invalid_utf8'],
    'deep nesting' => ["{\"x\":#{'[' * 64}#{']' * 64}}", 'too_deep'],
    'very deep nesting' => [('[' * 10_000), 'too_deep'],
    'no type' => ['{}', 'missing_field'],
    'a type of the other direction' => ['{"message_type":"hello"}', 'unknown_type'],
    'another version' => ['{"message_type":"heartbeat","protocol_version":"2.0"}', 'unsupported_version'],
    'a fraction for a whole number' => [
      '{"message_type":"heartbeat","orchestrator_id":"o","epoch":1.0,"n":1}', 'wrong_type'
    ],
    'a number out of range' => ['{"message_type":"heartbeat","orchestrator_id":"o","epoch":-1,"n":1}',
                                'out_of_range']
  }.each do |what, (body, code)|
    it("refuses #{what} as #{code}") { expect(code_of(body)).to eq(code) }
  end

  it 'takes the deepest nesting that is allowed, slashes and URLs' do
    body = JSON.generate(heartbeat.merge(x: 'https://a/*b*/'))
    expect(code_of(body)).to be_nil
    expect(code_of("{\"x\":#{'[' * 63}#{']' * 63},#{JSON.generate(heartbeat)[1..]}")).to be_nil
  end

  it 'refuses what is larger than the limit' do
    narrow = described_class.new(TaskerWorker::Wire::Messages::TO_WORKER, 20)
    expect { narrow.decode(JSON.generate(heartbeat)) }
      .to raise_error(TaskerWorker::Wire::DecodeError) { |error| expect(error.code).to eq('too_large') }
  end

  vectors = File.expand_path('../../../../protocol/vectors', __dir__)
  if File.directory?(vectors)
    Dir.glob(File.join(vectors, '*.json')).each do |file|
      it "agrees with the golden vectors of #{File.basename(file)}" do
        golden = JSON.parse(File.read(file), max_nesting: false)
        expect(golden).not_to be_empty
        golden.each do |vector|
          verdict = JSON.parse(JSON.generate(TaskerWorker::Conformance.verdict(vector), max_nesting: false),
                               max_nesting: false)
          expect(verdict).to eq(vector.slice('name', 'accept', vector['accept'] ? 'canonical' : 'code')),
                             vector['name']
        end
      end
    end
  end

  it 'builds report frames that it can read itself' do
    batch = TaskerWorker::Batch.new(SecureRandom.uuid, 'a' * 16, 0)
    attempt = Struct.new(:batch, :step_id, :number).new(batch, 4, 2)
    reports = TaskerWorker::Reports.new('w"ö', 'b' * 16)
    error = { 'message' => 'bad "ü"', 'error_type' => 'E' }
    batch.reported(attempt, 'failed', 3)
    failed = TaskerWorker::Outcome.new('failed', nil, error, 3)
    completed = TaskerWorker::Outcome.new('completed', '[1]', nil, 3)
    # The batch is an earlier session's; sending it under a third name replaces the second.
    replayed = reports.in_name(batch,
                               TaskerWorker::Reports.sent_by(reports.partial(attempt, 1, failed), 'c' * 16))
    frames = [replayed, reports.partial(attempt, 2, completed),
              reports.completion(batch, 3, 5.0), reports.accepted(batch),
              reports.rejected(batch, 4, [[4, 2, 'draining']])]
    to_orchestrator = described_class.to_orchestrator
    messages = frames.map { |frame| to_orchestrator.decode(TaskerWorker::Wire::Frame.split(frame.b).last) }
    expect(messages.map(&:type))
      .to eq(%w[partial_result partial_result batch_completion batch_accepted batch_rejected])
    expect(messages[0].fields).to include('error' => error, 'worker_id' => 'w"ö', 'session' => 'a' * 16,
                                          'sent_by' => 'b' * 16)
    expect(messages[1].fields).to include('output' => [1], 'sequence' => 2)
    expect(reports.in_name(batch, frames.last)).to eq(frames.last)
  end
end
