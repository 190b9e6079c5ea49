# frozen_string_literal: true

require 'securerandom'

module TaskerWorker
  # One life of this process as the orchestrator knows it: the worker's side of the handshake and of both
  # heartbeats. hello (repeated) → welcome → probe → ready; a higher epoch starts it anew. Nothing here
  # waits or reads a clock: times (ms) come in, and `next_due_ms` gives the next one that matters.
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

    # The waits after each hello of a series; the last one repeats. A first hello is often lost, because a
    # publisher learns of its subscriber late, so the second comes soon.
    HELLO_MS = [100, 1000].freeze
    # The shortest wait before a hello that follows a refusal.
    RETRY_MIN_MS = 100
    # Codes of a refusal that no later hello mends.
    FINAL = %w[version not_allowed].freeze
    # The one refusal that answers no hello: it is also for a session that was welcomed.
    UNKNOWN_SESSION = 'unknown_session'
    HEARTBEAT_MS = 1000
    SILENCE_HEARTBEATS = 5
    # Two installations on the same endpoints would otherwise take the worker from each other.
    OTHER_INSTALLATION_HEARTBEATS = 2
    REBUILD_MAX_MS = 30_000
    # How often a worker that reaches nobody says so.
    COMPLAIN_MS = 30_000

    attr_reader :id

    # +introduction+: the constant fields of hello. +work+: gives inventories. +publish+: called
    # with a frame. +on_new_id+: called with the id after a duplicate_session refusal.
    # +past_ids+: sessions whose reports this one replays. +endpoints+: fields for the log.
    def initialize(introduction:, work:, publish:, log:, silence_ms:, now:, id: SecureRandom.hex(8),
                   past_ids: [], endpoints: {}, &on_new_id)
      @introduction = introduction
      @work = work
      @publish = publish
      @log = log
      @silence_ms = silence_ms
      @on_new_id = on_new_id
      @id = id
      @past_ids = past_ids
      # Tells the answers to this process from those to another one with the same session id.
      @nonce = SecureRandom.hex(8)
      @frame_bytes_max = Wire::Codec::INVENTORY_BYTES_MAX
      @endpoints = endpoints
      @epoch = 0
      @seen_n = 0
      @heartbeat_ms = HEARTBEAT_MS
      @received_ms = @heard_ms = now
      @complain_ms = now + COMPLAIN_MS
      @silent_for = 0
      greet(now)
    end

    # Judges the epoch of a message: :stale messages must be dropped. A higher one means another
    # orchestrator (or its next life), which must get hello with our inventory first. So does another
    # installation, and a lower epoch when the higher one has fallen silent: a database that was made anew,
    # or restored from a backup.
    def judge_epoch(message, now)
      epoch = message['epoch']
      other = other_installation?(message)
      return stale(message, other) if (other || epoch < @epoch) && !starts_anew?(other, now)

      @log.warn('another installation', epoch: epoch, orchestrator_id: message['orchestrator_id']) if other
      @installation = message['installation'] || @installation
      follow(message, now) if other || epoch != @epoch
      @log.info('the orchestrator answers again', epoch: epoch) if @silent_for.positive?
      @received_ms = @heard_ms = now
      @silent_for = 0
      :current
    end

    def heartbeat(message)
      @seen_n = message['n']
    end

    # Whether a welcome or refusal answers this process. Older orchestrators do not say.
    def mine?(message)
      [nil, @nonce].include?(message['hello_nonce'])
    end

    def welcome(message, now)
      first_welcome(message, now) unless @welcomed
      limits = message['limits']
      if limits
        @frame_bytes_max = limits['inventory_bytes'] ||
                           (limits['result_bytes'] + Wire::Codec::ENVELOPE_BYTES_MAX)
      end
      @heartbeat_ms = [message['heartbeat_ms'], 1].max
      @next_heartbeat_ms = now + @heartbeat_ms
      @next_hello_ms = nil
      early = @early_probe
      @early_probe = nil
      probe(early, now) if early
    end

    # Before the welcome only remembered: whoever is not welcomed must not answer in another's name.
    def probe(message, now)
      return @early_probe = message unless @welcomed

      send_message('ready', { 'session' => @id, 'nonce' => message['nonce'] }.merge(@work.inventory))
      @log.info('ready', epoch: @epoch, orchestrator_id: message['orchestrator_id']) unless @ready
      @ready = true
      @work.resend_all(now)
    end

    # Raises Refused when the refusal is final. Once welcomed, a refusal answers somebody else's hello,
    # except that this session is not known.
    def refused(message, now)
      code = message['code']
      if !mine?(message) || (@welcomed && code != UNKNOWN_SESSION)
        return @log.debug('refusal of another worker ignored', code: code)
      end

      if FINAL.include?(code)
        @log.error('refused for good', code: code, reason: message['message'], sdk_version: VERSION)
        raise Refused.new(code, message['message'])
      end

      @log.warn('hello refused', code: code, reason: message['message'], retry_ms: message['retry_ms'])
      greet(now)
      return take_new_id if code == 'duplicate_session'

      # The way is proven, so the hello that follows needs no quick repetition.
      @hellos = HELLO_MS.size
      @next_hello_ms = now + [message['retry_ms'], RETRY_MIN_MS].max
    end

    # The next heartbeat is worth sending now.
    def beat_soon(now)
      @next_heartbeat_ms = now
    end

    # Sends what is due. Returns :silent when nothing came from the orchestrator for so long that the
    # sockets must be rebuilt, else nil.
    def tick(now)
      hello(now) if @next_hello_ms && now >= @next_hello_ms
      worker_heartbeat(now) if @welcomed && now >= @next_heartbeat_ms
      complain(now) if now >= @complain_ms
      return unless now >= silent_at

      if @silent_for.zero?
        @log.warn('nothing received from the orchestrator, connecting anew',
                  silent_ms: (now - @received_ms).round)
      end
      # The next patience is twice as long: rebuilding does not help against a host that is down.
      @silent_for = [[@silent_for * 2, @silence_ms].max, REBUILD_MAX_MS].min
      @received_ms = now
      :silent
    end

    # The sockets are new: introduce this session again.
    def reconnected(now)
      greet(now)
      tick(now)
    end

    def next_due_ms
      [@next_hello_ms, (@next_heartbeat_ms if @welcomed), silent_at, @complain_ms].compact.min
    end

    def goodbye(reason)
      send_message('goodbye', { 'session' => @id, 'reason' => reason })
    end

    private

    def other_installation?(message)
      installation = message['installation']
      !installation.nil? && !@installation.nil? && installation != @installation
    end

    def stale(message, other)
      facts = { message_type: message.type, epoch: message['epoch'] }
      if other
        @log.debug('message of another installation dropped', **facts)
      else
        @log.debug('message of a lower epoch dropped', **facts)
      end
      :stale
    end

    # Whether what is known of the orchestrator may be forgotten for a message that does not fit it.
    def starts_anew?(other, now)
      return @silent_for.positive? unless other

      now - @heard_ms >= OTHER_INSTALLATION_HEARTBEATS * @heartbeat_ms
    end

    def follow(message, now)
      @epoch = message['epoch']
      @log.info('new epoch', epoch: @epoch, orchestrator_id: message['orchestrator_id'])
      greet(now)
      # A welcome or a refusal is already the answer to a hello.
      @next_hello_ms = now + HELLO_MS.last if %w[welcome refused].include?(message.type) && mine?(message)
    end

    # Says that nobody answers, with what a person needs to find out why.
    def complain(now)
      silent_ms = now - @heard_ms
      @complain_ms = silent_ms < COMPLAIN_MS ? @heard_ms + COMPLAIN_MS : now + COMPLAIN_MS
      return if silent_ms < COMPLAIN_MS

      @log.warn('no orchestrator answers', silent_ms: silent_ms.round, **@endpoints,
                                           advice: 'is one running there? see: tasker health')
    end

    # At least five heartbeats: one that is late is no silence.
    def silent_at = @received_ms + [@silent_for, @silence_ms, SILENCE_HEARTBEATS * @heartbeat_ms].max

    # The sender may be a successor that has none of the reports, so their waits start anew.
    def first_welcome(message, now)
      @log.info('welcomed', epoch: @epoch, orchestrator_id: message['orchestrator_id'])
      log_what_is_cut(message)
      @work.outbox.resend_all(now)
      @welcomed = @work.answered = true
      @ready = false
    end

    def log_what_is_cut(message)
      given = %w[capacity prefetch].to_h { |name| [name.to_sym, message[name] || @introduction[name]] }
      return if given.none? { |name, value| value && value < @introduction[name.to_s].to_i }

      @log.warn('the orchestrator gives less than announced', capacity: given[:capacity],
                                                              prefetch: given[:prefetch])
    end

    # A new series of hellos begins, the first of them now.
    def greet(now)
      @early_probe = nil
      @welcomed = @work.answered = false
      @hellos = 0
      @seen_n = 0
      @next_hello_ms = now
      @next_heartbeat_ms = now + @heartbeat_ms
    end

    def hello(now)
      send_message('hello', @introduction.merge('session' => @id, 'hello_nonce' => @nonce)
                                         .merge(@work.inventory)
                                         .merge('previous_sessions' => @past_ids.empty? ? nil : @past_ids))
      @next_hello_ms = now + HELLO_MS[[@hellos, HELLO_MS.size - 1].min]
      @hellos += 1
    end

    def worker_heartbeat(now)
      send_message('worker_heartbeat', { 'session' => @id, 'seen_n' => @seen_n }
                                       .merge(@work.heartbeat_inventory(now)))
      @next_heartbeat_ms = now + @heartbeat_ms
    end

    def take_new_id
      @past_ids << @id
      @id = SecureRandom.hex(8)
      dropped = @on_new_id&.call(@id)
      @log.warn('new session id', before: @past_ids.last, dropped_steps: dropped)
    end

    def send_message(type, fields)
      frame = Wire::Frame::WORKERS + Wire::Codec.encode(type, fields)
      return @publish.call(frame) if frame.bytesize <= @frame_bytes_max

      size = "#{frame.bytesize} bytes, and the orchestrator takes #{@frame_bytes_max}"
      if type == 'hello'
        raise ConfigurationError, "the hello of this worker has #{size}: serve fewer handlers (--handlers)"
      end

      @log.error('message too large to be sent', message_type: type, reason: size) unless @too_large_logged
      @too_large_logged = true
    end
  end
end
