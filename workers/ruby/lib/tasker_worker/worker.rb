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
    ensure
      @transport.close
      @pool.close(0)
    end

    # Ends the worker in order: hand back, finish, flush, say goodbye. Safe in a signal handler; true
    # for the first call only.
    def stop
      @signals += 1
      @waker.wake
      @signals == 1
    end

    # True when handler threads still run after `run` (timed out or cut off): they cannot be killed.
    def stragglers? = @pool.running_count.positive?

    private

    def build
      id = SecureRandom.hex(8)
      @effects = EffectsLog.from_env(worker: @settings.worker_id, session: id)
      @runner = StepRunner.new(effects: @effects)
      @reports = Reports.new(@settings.worker_id, id)
      @pool = HandlerPool.new(capacity: @settings.capacity, waker: @waker) { |job| @runner.call(job) }
      @transport = Transport.new(@settings.steps_endpoints, @settings.results_endpoints, @waker.fileno)
      publish = @transport.method(:publish)
      @workload = Workload.new(settings: @settings, registry: @registry, pool: @pool, reports: @reports,
                               outbox: Outbox.new(limit: @settings.outbox_limit), publish: publish, log: @log)
      @session = Session.new(introduction: introduction, workload: @workload, publish: publish, log: @log,
                             id: id,
                             silence_ms: @settings.silence_ms, now: @clock.now_ms) do |new_id|
        renamed(new_id)
      end
      listen_to(id)
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
      (@control_topics ||= []).unshift(Wire::Frame.control_topic(id))
      @transport.subscribe(@steps_topic)
      @transport.subscribe(@control_topics.first)
    end

    def renamed(id)
      @reports.session = id
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
      @pool.finished? || (@signals.positive? && @draining.nil?)
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

      topic.equal?(@steps_topic) ? take_steps(message, now) : take_control(message, now)
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
      @session.welcome(message, now)
      @workload.resend_ms = [message['resend_ms'], 1].max
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
      allowed = deadline_ms&.positive? ? [deadline_ms, own].min : own
      @draining = now + allowed
      @drain_reason = reason
      @log.info('draining', reason: reason, limit_ms: allowed.round)
      @workload.drain
    end

    def drained(now)
      settled = @workload.settled?
      if settled && @workload.outbox.empty?
        finish(DONE)
      elsif now >= @draining
        @log.error('drain limit reached, leaving', running: @pool.running_count,
                                                   unacked: @workload.outbox.size)
        finish(UNFINISHED)
      end
    end

    def finish(code)
      @session.goodbye(@drain_reason)
      @log.info('stopped', code: code)
      code
    end
  end
end
