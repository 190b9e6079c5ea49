# frozen_string_literal: true

require 'securerandom'
require 'tasker_worker'
require 'tasker_worker/sockets'

# The orchestrator's side of the wire for one worker, driven step by step by the test: it binds both
# sockets on ipc, keeps all frames that come, and does only what a test asks for.
class FakeOrchestrator
  LIMITS = { 'batch_bytes' => 16_777_216, 'result_bytes' => 1_048_576, 'depth' => 64 }.freeze
  CONTEXT = ZMQ::Context.new

  class Timeout < StandardError; end

  attr_reader :dir, :messages, :session, :frames, :subscriptions
  attr_accessor :epoch, :heartbeats, :auto_ack, :limits

  def initialize(dir, epoch: 1)
    @dir = dir
    @epoch = epoch
    @messages = []
    @frames = []
    @subscriptions = []
    @heartbeats = true
    @auto_ack = false
    @limits = LIMITS
    @codec = TaskerWorker::Wire::Codec.to_orchestrator
    @n = 0
    @next_heartbeat = 0
    open
  end

  def steps_endpoint = "ipc://#{@dir}/steps"
  def results_endpoint = "ipc://#{@dir}/results"

  def open
    @steps = bind(ZMQ::XPUB, steps_endpoint) { |socket| tell_every_subscription(socket) }
    @results = bind(ZMQ::SUB, results_endpoint)
    @results.setsockopt(ZMQ::SUBSCRIBE, '')
  end

  def close
    [@steps, @results].each(&:close)
  end

  # Reads and answers until the block is true, at most +limit+ seconds; returns what it returned.
  def until(what, limit: 10)
    wait(what, limit: limit) do
      pump
      yield
    end
  end

  # The same without reading or answering anything.
  def wait(what, limit: 10)
    deadline = Process.clock_gettime(Process::CLOCK_MONOTONIC) + limit
    loop do
      found = yield
      return found if found

      if Process.clock_gettime(Process::CLOCK_MONOTONIC) > deadline
        raise Timeout,
              "#{what}: not within #{limit} s; got #{summary}"
      end

      Thread.pass
    end
  end

  # Waits for a message of +type+ (optionally one that the block accepts) not taken before.
  def take(type, limit: 10, &block)
    self.until("a #{type}", limit: limit) do
      index = @messages.index { |message| message.type == type && (block.nil? || block.call(message)) }
      index && @messages.delete_at(index)
    end
  end

  def all(type) = @messages.select { |message| message.type == type }

  # hello → welcome → probe → ready. A further hello may cross the welcome; those are gone afterwards.
  def handshake(heartbeat_ms: 200, resend_ms: 200)
    hello = take('hello')
    @session = hello['session']
    # A hello of the worker can cross the answer to an earlier one; a test counts from here.
    welcome(heartbeat_ms: heartbeat_ms, resend_ms: resend_ms)
    nonce = SecureRandom.hex(4)
    steps('probe', nonce: nonce)
    take('ready') { |message| message['nonce'] == nonce }
    @messages.reject! { |message| message.type == 'hello' }
    hello
  end

  def welcome(heartbeat_ms: 200, resend_ms: 200)
    control('welcome', session: @session, heartbeat_ms: heartbeat_ms, lease_ms: 8000, resend_ms: resend_ms,
                       limits: @limits)
  end

  # What the block sends goes to the session +id+.
  def as_session(id)
    current = @session
    @session = id
    yield
  ensure
    @session = current
  end

  def control(type, **fields) = send_frame("control.#{@session} ", type, fields)
  def steps(type, **fields) = send_frame("steps.#{@session} ", type, fields)

  # Sends a batch; +steps+: [{step_id:, …}] over defaults. Returns its id.
  def batch(*steps, handler: 'Spec::EchoHandler', id: SecureRandom.uuid)
    requests = steps.each_with_index.map { |step, index| request(step, handler, index + 1, steps.size) }
    self.steps('step_batch_request', batch_id: id, handler_class: handler, steps: requests)
    id
  end

  def ack(*messages)
    control('ack', session: @session, rejected: [],
                   batches: messages.group_by { |message| message['batch_id'] }.map do |id, list|
                     { batch_id: id, sequences: list.map { |message| message['sequence'] } }
                   end)
  end

  def pump(wait_ms = 10)
    beat
    poller = ZMQ::Poller.new
    poller.register_readable(@results)
    poller.register_readable(@steps)
    poller.poll(wait_ms)
    while (frame = receive(@steps))
      @subscriptions << [frame.getbyte(0) == 1, frame.byteslice(1, frame.bytesize)]
      greet_subscriber(*@subscriptions.last)
    end
    while (frame = receive(@results))
      keep(frame)
    end
  end

  private

  def keep(frame)
    @frames << frame
    topic, body = TaskerWorker::Wire::Frame.split(frame)
    message = @codec.decode(body)
    raise "#{message.type} on topic #{topic}" unless TaskerWorker::Wire::Frame.belongs?(topic.to_sym,
                                                                                        message.type)

    @messages << message
    ack(message) if @auto_ack && message['sequence'] && message['status'] != 'in_progress'
  end

  # A subscription to a control topic is answered at once with a heartbeat.
  def greet_subscriber(subscribed, topic)
    return unless @heartbeats && subscribed && topic.start_with?('control.')

    as_session(topic[8..].strip) { control('heartbeat', n: @n += 1) }
  end

  def beat
    now = Process.clock_gettime(Process::CLOCK_MONOTONIC, :millisecond)
    return if !@heartbeats || @session.nil? || now < @next_heartbeat

    @next_heartbeat = now + 200
    control('heartbeat', n: @n += 1)
  end

  def request(step, handler, place, total)
    step = { step_id: 1, attempt: 1, context: {}, config: {}, previous: {}, timeout_ms: 30_000 }.merge(step)
    { step_id: step[:step_id], task_id: 7, namespace: 'spec', task_name: 'flow', task_version: '1.0.0',
      step_name: step[:name] || 'echo', handler_class: step[:handler] || handler,
      handler_config: step[:config],
      task_context: step[:context], previous_results: step[:previous],
      metadata: { attempt: step[:attempt], retry_limit: 3, timeout_ms: step[:timeout_ms], sequence: place,
                  total_steps: total, created_at: '2026-01-02T03:04:05Z',
                  idempotency_key: "inst-#{step[:step_id]}", claim_first: step[:claim_first] }.compact }
  end

  def send_frame(topic, type, fields)
    body = JSON.generate({ message_type: type, protocol_version: '1.0', orchestrator_id: 'fake',
                           epoch: @epoch }
                           .merge(fields))
    @steps.send_string("#{topic}#{body}", ZMQ::DONTWAIT)
  end

  def receive(socket)
    text = +''
    socket.recv_string(text, ZMQ::DONTWAIT) == -1 ? nil : text
  end

  def bind(type, endpoint)
    socket = CONTEXT.socket(type)
    socket.setsockopt(ZMQ::LINGER, 0)
    socket.setsockopt(ZMQ::RCVHWM, 0)
    yield socket if block_given?
    raise "cannot bind #{endpoint}" if socket.bind(endpoint) == -1

    socket
  end

  # A worker that connects anew may subscribe before its old connection is known to be gone. Without this
  # libzmq would report neither. ffi-rzmq has the option's number, but not its type.
  def tell_every_subscription(socket)
    on = FFI::MemoryPointer.new(:int).write_int(1)
    code = LibZMQ.zmq_setsockopt(socket.socket, ZMQ::XPUB_VERBOSE_UNSUBSCRIBE, on, on.size)
    raise 'cannot set ZMQ_XPUB_VERBOSER' unless code.zero?
  end

  def summary
    @messages.last(12).map do |message|
      "#{message.type}#{message.fields.slice('step_id', 'status', 'code')}"
    end.inspect
  end
end
