# frozen_string_literal: true

require 'socket'

module TaskerWorker
  # One worker process: the loop of the socket thread, which is the thread that calls `run`.
  #
  # It alone touches the sockets, the session, the workload and the outbox, so none of them has a lock.
  # It always polls and never runs a handler; handlers run in the pool and come back through it. What
  # the orchestrator has acknowledged is forgotten, everything else stays in the outbox: killing this
  # process loses at most work that the orchestrator knows to be open.
  class Worker
    RECEIVE_BUDGET = 256
    # Exit codes of `run`.
    DONE = 0
    UNFINISHED = 1
    # Reasons of goodbye. The first is a promise: everything this session ever started was reported and
    # acknowledged, so whatever else was sent to it never started. It must not be said in any other case.
    DRAINED = 'drained'
    HANDLERS_RUNNING = 'handlers_running'
    DEADLINE = 'deadline'
    INTERRUPTED = 'interrupted'
    CRASHED = 'crashed'

    def initialize(settings, registry, log:, clock: Clock)
      @settings = settings
      @registry = registry
      @log = log.with(worker: settings.worker_id)
      @clock = clock
      @waker = Waker.new
      @decoder = Wire::Codec.to_worker
      @signals = 0
      @draining = nil
      build
    end

    def session_id = @session.id

    # Works until it is drained; returns the exit code. Raises Session::Refused and Transport::Failure.
    def run
      @log.info('started', session: @session.id, pid: Process.pid, capacity: @settings.capacity,
                           handlers: @registry.handlers.join(','), steps: @settings.steps_endpoints.join(','),
                           results: @settings.results_endpoints.join(','))
      code = nil
      code = turn until code
      code
    rescue Session::Refused
      raise
    rescue StandardError
      # With a goodbye the orchestrator need not wait for the lease to end.
      @session.goodbye(CRASHED)
      raise
    ensure
      @transport.close
      @pool.close(0)
      @workload.outbox.close
    end

    # Ends the worker in order: hand back, finish, flush, say goodbye; called again, says goodbye and
    # ends at once. Safe in a signal handler; false from the third call on: nothing is left to try.
    def stop
      @signals += 1
      @waker.wake
      @signals <= 2
    end

    # True when handler threads still run after `run` (timed out or cut off): they cannot be killed.
    def stragglers? = @pool.running_count.positive?

    private

    def build
      @outbox_file = OutboxFile.new(@settings.outbox_path, log: @log) if @settings.outbox_path
      id = SecureRandom.hex(8)
      @effects = EffectsLog.from_env(worker: @settings.worker_id, session: id)
      @runner = StepRunner.new(effects: @effects)
      @reports = Reports.new(@settings.worker_id, id)
      @pool = HandlerPool.new(capacity: @settings.capacity, waker: @waker) { |job| @runner.call(job) }
      @transport = Transport.new(@settings.steps_endpoints, @settings.results_endpoints, @waker.fileno,
                                 reconnect_max_ms: @settings.reconnect_max_ms)
      @workload = Workload.new(settings: @settings, registry: @registry, pool: @pool, reports: @reports,
                               outbox: outbox, publish: @transport.method(:publish), log: @log)
      @session = session(id, inherit(@outbox_file&.stored || [], id))
      listen_to(id)
    end

    def session(id, past_ids)
      Session.new(introduction: introduction, workload: @workload, publish: @transport.method(:publish),
                  log: @log, id: id, past_ids: past_ids, silence_ms: @settings.silence_ms,
                  now: @clock.now_ms) { |new_id| renamed(new_id) }
    end

    def outbox
      Outbox.new(limit: @settings.outbox_limit, bytes_max: @settings.outbox_bytes,
                 resend_max_ms: @settings.resend_max_ms, file: @outbox_file)
    end

    # Takes over what predecessors left in the outbox file; it is sent once the orchestrator answers.
    # Returns their sessions. Acks of hand-backs, which have no sent_by, come on their control topics.
    def inherit(stored, id)
      stored.each do |report|
        @workload.outbox.restore(report, Reports.sent_by(report.frame, id), @clock.now_ms)
      end
      past = stored.map(&:session).uniq
      @control_topics = past.map { |session| Wire::Frame.control_topic(session) }
      @control_topics.each { |topic| @transport.subscribe(topic) }
      @log.info('reports of a predecessor are sent', reports: stored.size, sessions: past.size) if past.any?
      past
    end

    def introduction
      namespaces = @settings.namespaces.empty? ? @registry.namespaces : @settings.namespaces
      { 'worker_id' => @settings.worker_id, 'language' => 'ruby', 'sdk_version' => VERSION,
        'namespaces' => namespaces, 'handlers' => @registry.handlers, 'capacity' => @settings.capacity,
        'prefetch' => @settings.prefetch, 'host' => Socket.gethostname, 'pid' => Process.pid }
    end

    # Topics are prefixes and must be compared whole, hence with their trailing space. Acks for batches
    # of an earlier session come on its control topic, so that one stays subscribed.
    def listen_to(id)
      @steps_topic = Wire::Frame.steps_topic(id)
      @control_topics.unshift(Wire::Frame.control_topic(id))
      @transport.subscribe(@steps_topic)
      @transport.subscribe(@control_topics.first)
    end

    def renamed(id)
      @workload.leave_session(id, @clock.now_ms)
      @effects&.session = id
      listen_to(id)
    end

    # One round of the loop; returns the exit code when it is over.
    def turn
      now = @clock.now_ms
      timeout = wait_ms(now)
      @waker.arm
      readable = @transport.poll(pending? ? 0 : timeout)
      @waker.disarm
      return finish(INTERRUPTED, UNFINISHED) if @signals > 1

      now = @clock.now_ms
      receive(now) if readable
      @workload.collect(now)
      @session.beat_soon(now) if @workload.slot_freed?
      rebuild(now) if @session.tick(now) == :silent
      @workload.tick(now)
      begin_drain('signal', nil, now) if @signals.positive? && @draining.nil?
      drained(now) if @draining
    end

    # Work that came between the last look and `arm` would otherwise wait for the next wake-up.
    def pending?
      @pool.finished? || (@signals.positive? && @draining.nil?) || @signals > 1
    end

    def wait_ms(now)
      due = [@session.next_due_ms, @workload.next_due_ms(now), @draining].compact.min
      (due - now).ceil.clamp(0, 60_000)
    end

    def receive(now)
      RECEIVE_BUDGET.times do
        frame = @transport.receive
        return if frame.nil?

        take(frame, now)
      end
    end

    def take(frame, now)
      topic = [@steps_topic, *@control_topics].find { |mine| frame.start_with?(mine) }
      return @log.debug('frame on another topic ignored', start: frame[0, 40]) if topic.nil?

      message = @decoder.decode(frame.byteslice(topic.bytesize,
                                                frame.bytesize).force_encoding(Encoding::UTF_8))
      if @session.hear(message, now) == :stale
        return @log.debug('message of a lower epoch dropped', type: message.type, epoch: message['epoch'])
      end

      if topic.equal?(@steps_topic)
        take_steps(message, now)
      elsif topic.equal?(@control_topics.first)
        take_control(message, now)
      elsif message.type == 'ack' # of an earlier session only this still matters
        @workload.ack(message)
      end
    rescue Wire::DecodeError => e
      @log.error('message from the orchestrator ignored', code: e.code, reason: e.message,
                                                          bytes: frame.bytesize)
    end

    def take_steps(message, now)
      case message.type
      when 'step_batch_request' then @workload.deliver(message, @session.id, now)
      when 'probe' then @session.probe(message, now)
      else misplaced(message)
      end
    end

    def take_control(message, now)
      case message.type
      when 'ack' then @workload.ack(message)
      when 'heartbeat' then @session.heartbeat(message)
      when 'welcome' then welcome(message, now)
      when 'refused' then @session.refused(message, now)
      when 'cancel' then @workload.cancel(message)
      when 'drain' then begin_drain('asked by the orchestrator', message['deadline_ms'], now) unless @draining
      when 'start_granted' then @workload.start_granted(message, now)
      when 'start_denied' then @workload.start_denied(message)
      when 'report_request' then @workload.report_request(message)
      else misplaced(message)
      end
    end

    def misplaced(message)
      @log.warn('message on the wrong topic ignored', type: message.type)
    end

    def welcome(message, now)
      @workload.resend_ms = [message['resend_ms'], 1].max
      @session.welcome(message, now)
      @decoder.bytes_max = message['limits']['batch_bytes']
      @runner.result_bytes = message['limits']['result_bytes']
    end

    def rebuild(now)
      @transport.rebuild
      @session.reconnected(now)
    end

    # +deadline_ms+: what the orchestrator allows; the worker's own limit holds when it is shorter.
    def begin_drain(reason, deadline_ms, now)
      own = @settings.drain_timeout * 1000
      allowed = deadline_ms ? deadline_ms.clamp(0, own) : own
      @draining = now + allowed
      @log.info('draining', reason: reason, limit_ms: allowed.round)
      @workload.drain
    end

    def drained(now)
      if @workload.settled? && @workload.outbox.empty?
        # A timed-out handler may still run; nobody waits for it, but it makes the promise untrue.
        finish(@workload.in_flight.zero? ? DRAINED : HANDLERS_RUNNING, DONE)
      elsif now >= @draining
        @log.error('drain limit reached, leaving', running: @pool.running_count,
                                                   unacked: @workload.outbox.size)
        finish(DEADLINE, UNFINISHED)
      end
    end

    # From here on nothing is read, so nothing that arrives now is ever started.
    def finish(reason, code)
      @session.goodbye(reason)
      @log.info('goodbye', session: @session.id, reason: reason, code: code)
      code
    end
  end
end
