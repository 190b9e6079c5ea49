# frozen_string_literal: true

require 'securerandom'

module TaskerWorker
  # The worker's side of the handshake and of both heartbeats: one life of this process as the
  # orchestrator knows it. hello (repeated) → welcome → probe → ready; a higher epoch starts it anew.
  # The orchestrator's answers are the only truth: nothing here waits, it only says what is due.
  # Socket thread only.
  class Session
    # The orchestrator refuses this worker for good; `code` is version or not_allowed.
    class Refused < Error
      attr_reader :code

      def initialize(code, message)
        super("the orchestrator refused this worker (#{code}): #{message}")
        @code = code
      end
    end

    # A first hello is often lost, because a publisher learns of its subscriber late; so the first
    # repetitions come quickly.
    HELLO_MS = [100, 200, 400, 1000].freeze
    # After a welcome the probe should follow at once; when it was lost, a new hello brings another.
    PROBE_WAIT_MS = 3000
    HEARTBEAT_MS = 1000
    SILENCE_HEARTBEATS = 5
    REBUILD_MAX_MS = 30_000

    attr_reader :id, :past_ids, :epoch, :rebuilds

    # +introduction+: the constant fields of hello. +workload+: gives inventories. +publish+: called
    # with a frame. +on_new_id+: called with the id after a duplicate_session refusal.
    # +past_ids+: sessions whose reports this one replays.
    def initialize(introduction:, workload:, publish:, log:, silence_ms:, now:, id: SecureRandom.hex(8),
                   past_ids: [], &on_new_id)
      @introduction = introduction
      @workload = workload
      @publish = publish
      @log = log
      @silence_ms = silence_ms
      @on_new_id = on_new_id
      @id = id
      @past_ids = past_ids
      @epoch = 0
      @seen_n = 0
      @heartbeat_ms = HEARTBEAT_MS
      @rebuilds = 0
      @heard_ms = now
      @silent_for = 0
      greet(now)
    end

    def ready? = @welcomed && @proven

    # Judges the epoch of a message: :stale messages must be dropped. A higher one means another
    # orchestrator (or its next life), which must hear hello with our inventory first.
    def hear(message, now)
      epoch = message['epoch']
      return :stale if epoch < @epoch

      newer = epoch > @epoch
      if newer
        @log.info('orchestrator', orchestrator: message['orchestrator_id'], epoch: epoch)
        @epoch = epoch
        greet(now)
        # A welcome or a refusal is already the answer to a hello.
        @next_hello_ms = now + HELLO_MS.last if %w[welcome refused].include?(message.type)
      end
      @log.info('the orchestrator is heard again', epoch: epoch) if @silent_for.positive?
      @heard_ms = now
      @silent_for = 0
      :current
    end

    def heartbeat(message)
      @seen_n = message['n']
    end

    def welcome(message, now)
      return unless message['session'] == @id

      # Whoever welcomes may be a successor that has none of the reports: not after a long wait.
      @workload.outbox.resend_all(now) unless @welcomed
      @welcomed = @workload.answered = true
      @heartbeat_ms = [message['heartbeat_ms'], 1].max
      @next_heartbeat_ms = now + @heartbeat_ms
      @next_hello_ms = @proven ? nil : now + PROBE_WAIT_MS
    end

    def probe(message, now)
      send_message('ready', { 'session' => @id, 'nonce' => message['nonce'] }.merge(@workload.inventory))
      first = !@proven
      @proven = true
      @next_hello_ms = nil if @welcomed
      @log.info('ready', session: @id, epoch: @epoch) if first
      @workload.resend_all(now)
    end

    # Raises Refused when the refusal is final.
    def refused(message, now)
      code = message['code']
      raise Refused.new(code, message['message']) if %w[version not_allowed].include?(code)

      @log.warn('hello refused', code: code, reason: message['message'], retry_ms: message['retry_ms'])
      greet(now)
      @next_hello_ms = now + [message['retry_ms'], HELLO_MS.first].max
      take_new_id if code == 'duplicate_session'
    end

    # The next heartbeat is worth sending now.
    def beat_soon(now)
      @next_heartbeat_ms = now
    end

    # Sends what is due. Returns :silent when the orchestrator has not been heard for so long that the
    # sockets must be rebuilt, else nil.
    def tick(now)
      hello(now) if @next_hello_ms && now >= @next_hello_ms
      worker_heartbeat(now) if @welcomed && now >= @next_heartbeat_ms
      return unless now >= silent_at

      if @silent_for.zero?
        @log.warn('no word from the orchestrator, connecting anew', silent_ms: (now - @heard_ms).round)
      end
      # The next patience is twice as long: rebuilding does not help against a host that is down.
      @silent_for = [[@silent_for * 2, @silence_ms].max, REBUILD_MAX_MS].min
      @heard_ms = now
      @rebuilds += 1
      :silent
    end

    # The sockets are new: introduce this session again.
    def reconnected(now)
      greet(now)
      tick(now)
    end

    def next_due_ms
      [@next_hello_ms, (@next_heartbeat_ms if @welcomed), silent_at].compact.min
    end

    def goodbye(reason)
      send_message('goodbye', { 'session' => @id, 'reason' => reason })
    end

    private

    # At least five heartbeats: one that is late is no silence.
    def silent_at = @heard_ms + [@silent_for, @silence_ms, SILENCE_HEARTBEATS * @heartbeat_ms].max

    def greet(now)
      @welcomed = @proven = @workload.answered = false
      @hellos = 0
      @seen_n = 0
      @next_hello_ms = now
      @next_heartbeat_ms = now + @heartbeat_ms
    end

    def hello(now)
      send_message('hello', @introduction.merge('session' => @id).merge(@workload.inventory)
                                         .merge('previous_sessions' => @past_ids.empty? ? nil : @past_ids))
      @next_hello_ms = now + HELLO_MS[[@hellos, HELLO_MS.size - 1].min]
      @hellos += 1
    end

    def worker_heartbeat(now)
      send_message('worker_heartbeat', { 'session' => @id, 'seen_n' => @seen_n }
                                       .merge(@workload.heartbeat_inventory(now)))
      @next_heartbeat_ms = now + @heartbeat_ms
    end

    def take_new_id
      @past_ids << @id
      @id = SecureRandom.hex(8)
      @log.warn('new session', session: @id, was: @past_ids.last)
      @on_new_id&.call(@id)
    end

    def send_message(type, fields)
      @publish.call(Wire::Frame::WORKERS + Wire::Codec.encode(type, fields))
    end
  end
end
