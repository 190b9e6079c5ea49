# frozen_string_literal: true

require_relative '../tasker_worker'
require_relative 'effects'
require_relative 'sockets'
require_relative 'pool'
require_relative 'outbox_file'
require_relative 'outbox'
require_relative 'reports'
require_relative 'claims'
require_relative 'attempt'
require_relative 'batch'
require_relative 'work'
require_relative 'introduction'
require_relative 'session'

module TaskerWorker
  # How a worker process ends; the same numbers in every SDK.
  module ExitCode
    # Everything is reported and acknowledged.
    DRAINED = 0
    # A fault of the worker itself, or of libzmq.
    UNEXPECTED = 1
    # A bad option, configuration, template, handler or outbox file.
    USAGE = 2
    # The orchestrator refused this worker for good.
    REFUSED = 3
    # The drain limit was over, or a second signal came: work is left.
    UNFINISHED = 4
  end

  # One worker process: the loop of the socket thread, which is the thread that calls `run`.
  #
  # It alone touches the sockets, the session, the work and the outbox, so none of them has a lock.
  # It always polls and never runs a handler; handlers run in the pool and come back through it. What
  # the orchestrator has acknowledged is forgotten, everything else stays in the outbox: killing this
  # process loses at most work that the orchestrator knows to be open.
  class Worker
    RECEIVE_BUDGET = 256
    # Reasons of goodbye. The first is a promise: everything this session ever started was reported and
    # acknowledged, so whatever else was sent to it never started. No other case may use it.
    DRAINED = 'drained'
    HANDLERS_RUNNING = 'handlers_running'
    DEADLINE = 'deadline'
    INTERRUPTED = 'interrupted'
    CRASHED = 'crashed'
    # Why a handler is asked to stop, and how long before the end of a drain; of a short one, at half.
    DRAINING = 'draining'
    STOP_BEFORE_MS = 5000

    def initialize(settings, registry, log:, clock: Clock)
      @settings = settings
      @registry = registry
      @log = log.with(worker_id: settings.worker_id)
      @clock = clock
      @wake_up = WakeUp.new
      @reader = Wire::Reader.new
      @limits = Limits.default
      @signals = 0
      @draining = @stop_handlers_ms = nil
      build
    end

    # Every line of it names this worker and its session of now.
    attr_reader :log

    # Works until it is drained; returns the ExitCode. Raises Session::Refused and Sockets::Failure.
    def run
      @log.info('worker starts', pid: Process.pid, capacity: @settings.capacity,
                                 handlers: @registry.handlers.join(','),
                                 namespaces: @settings.namespaces.sort.join(','), **endpoints)
      warn_of_another_database
      code = nil
      code = turn until code
      code
    rescue Session::Refused, ConfigurationError
      raise
    rescue StandardError
      # With a goodbye the orchestrator need not wait for the lease to end.
      @session.goodbye(CRASHED)
      raise
    ensure
      @sockets.close
      @pool.close(0)
      @work.outbox.close
    end

    # Ends the worker in order: it hands back, finishes, flushes and sends goodbye. A second call sends
    # goodbye and ends it at once; from the third on the answer is false, since nothing is left to try.
    # Safe in a signal handler.
    # +reason+: for the log.
    def stop(reason)
      @stop_reason ||= reason
      @signals += 1
      @wake_up.wake
      @signals <= 2
    end

    # How many handlers still run after `run` (timed out or cut off): their threads cannot be killed.
    def handlers_running = @pool.running_count

    private

    def build
      id = SecureRandom.hex(8)
      @log.set(session: id)
      @outbox_file = OutboxFile.new(@settings.outbox_path, log: @log) if @settings.outbox_path
      @effects = EffectsLog.from_env(worker: @settings.worker_id, session: id)
      @runner = HandlerRun.new(limits: @limits, effects: @effects)
      @reports = Reports.new(@settings.worker_id, id)
      @pool = Pool.new(capacity: @settings.capacity, wake_up: @wake_up) { |attempt| @runner.call(attempt) }
      @sockets = Sockets.new(@settings.steps_endpoints, @settings.results_endpoints, @wake_up.fileno,
                             reconnect_max_ms: @settings.reconnect_max_ms)
      @work = Work.new(settings: @settings, registry: @registry, pool: @pool, reports: @reports,
                       outbox: outbox, publish: @sockets.method(:publish), log: @log)
      @session = session(id, inherit(@outbox_file&.stored || [], id))
      listen_to(id)
    end

    # The commands of `tasker` then use that database, and a worker beside them serves the `tasker dev`.
    def warn_of_another_database
      running = Dev.running
      url = @settings.database_url
      return if url.nil? || running.nil? || url == running.database_url || Dev.url_left_over?(url)
      return unless running.serves?(@settings.steps_endpoints + @settings.results_endpoints)

      advice = "set TASKER_STEPS_ENDPOINT and TASKER_RESULTS_ENDPOINT to that database's orchestrator"
      @log.warn('connected to a tasker dev, but TASKER_DATABASE_URL names another database',
                folder: running.folder, advice: advice)
    end

    def session(id, past_ids)
      Session.new(introduction: introduction, work: @work, publish: @sockets.method(:publish),
                  log: @log, id: id, past_ids: past_ids, silence_ms: @settings.silence_ms,
                  now: @clock.now_ms, endpoints: endpoints) { |new_id| renamed(new_id) }
    end

    def endpoints
      { steps_endpoints: @settings.steps_endpoints.join(','),
        results_endpoints: @settings.results_endpoints.join(',') }
    end

    def outbox
      Outbox.new(limit: @settings.outbox_limit, bytes_max: @settings.outbox_bytes,
                 resend_max_ms: @settings.resend_max_ms, file: @outbox_file)
    end

    # Takes over what predecessors left in the outbox file; it is sent once the orchestrator answers.
    # Returns their sessions. Acks of hand-backs, which have no sent_by, come on their control topics.
    def inherit(stored, id)
      stored.each do |report|
        @work.outbox.restore(report, Reports.sent_by(report.frame, id), @clock.now_ms)
      end
      past = stored.map(&:session).uniq
      @control_topics = past.map { |session| Wire::Frame.control_topic(session) }
      @control_topics.each { |topic| @sockets.subscribe(topic) }
      @log.info('reports of a predecessor are sent', reports: stored.size, sessions: past.size) if past.any?
      past
    end

    def introduction
      Introduction.check(@settings.worker_id, @settings.namespaces, @registry.handlers)
      { 'worker_id' => @settings.worker_id, 'language' => 'ruby', 'sdk_version' => VERSION,
        'namespaces' => @settings.namespaces, 'handlers' => @registry.handlers,
        'capacity' => @settings.capacity, 'prefetch' => @settings.prefetch,
        'host' => Settings.host, 'pid' => Process.pid }
    end

    # Topics are prefixes and must be compared whole, hence with their trailing space. Acks for batches
    # of an earlier session come on its control topic, so that one stays subscribed.
    def listen_to(id)
      @steps_topic = Wire::Frame.steps_topic(id)
      @control_topics.unshift(Wire::Frame.control_topic(id))
      @sockets.subscribe(@steps_topic)
      @sockets.subscribe(@control_topics.first)
    end

    # Returns how many steps were dropped.
    def renamed(id)
      @log.set(session: id)
      @effects&.session = id
      dropped = @work.leave_session(id, @clock.now_ms)
      listen_to(id)
      dropped
    end

    # One round of the loop; returns the exit code when it is over.
    def turn
      now = @clock.now_ms
      timeout = wait_ms(now)
      @wake_up.arm
      readable = @sockets.poll(pending? ? 0 : timeout)
      @wake_up.disarm
      return finish(INTERRUPTED, ExitCode::UNFINISHED) if @signals > 1

      now = @clock.now_ms
      receive(now) if readable
      @work.collect(now)
      @session.beat_soon(now) if @work.slot_freed?
      rebuild(now) if @session.tick(now) == :silent
      @work.tick(now)
      begin_drain(@stop_reason, nil, now) if @signals.positive? && @draining.nil?
      stop_handlers if @stop_handlers_ms && now >= @stop_handlers_ms
      drained(now) if @draining
    end

    # Work that came between the last look and `arm` would otherwise wait for the next wake-up.
    def pending?
      @pool.finished? || (@signals.positive? && @draining.nil?) || @signals > 1
    end

    def wait_ms(now)
      due = [@session.next_due_ms, @work.next_due_ms(now), @draining, @stop_handlers_ms].compact.min
      (due - now).ceil.clamp(0, 60_000)
    end

    def receive(now)
      RECEIVE_BUDGET.times do
        frame = @sockets.receive
        return if frame.nil?

        take(frame, now)
      end
    end

    def take(frame, now)
      topic = [@steps_topic, *@control_topics].find { |mine| frame.start_with?(mine) }
      return @log.debug('frame on another topic ignored', start: frame[0, 40]) if topic.nil?

      body = frame.byteslice(topic.bytesize, frame.bytesize).force_encoding(Encoding::UTF_8)
      message, over_limit = @reader.read(body)
      return if @session.judge_epoch(message, now) == :stale

      if topic.equal?(@steps_topic)
        take_steps(message, over_limit, now)
      elsif topic.equal?(@control_topics.first)
        take_control(message, now)
      elsif message.type == 'ack' && topic == Wire::Frame.control_topic(message['session'])
        @work.ack(message) # of an earlier session only this still matters
      end
    rescue Wire::DecodeError => e
      @log.error('message ignored', code: e.code, field: e.field, reason: e.reason, bytes: frame.bytesize)
    end

    def take_steps(message, over_limit, now)
      case message.type
      when 'step_batch_request' then @work.deliver(message, @session.id, now, over_limit: over_limit)
      when 'probe' then @session.probe(message, now)
      else misplaced(message)
      end
    end

    def take_control(message, now)
      return another_session(message) if (message['session'] || @session.id) != @session.id

      case message.type
      when 'ack' then @work.ack(message)
      when 'heartbeat' then @session.heartbeat(message)
      when 'welcome' then welcome(message, now)
      when 'refused' then @session.refused(message, now)
      when 'cancel' then @work.cancel(message)
      when 'drain' then begin_drain('asked by the orchestrator', message['deadline_ms'], now)
      when 'start_granted' then @work.start_granted(message, now)
      when 'start_denied' then @work.start_denied(message)
      when 'report_request' then @work.report_request(message)
      else misplaced(message)
      end
    end

    def another_session(message)
      @log.error('message for another session ignored', message_type: message.type)
    end

    def misplaced(message)
      @log.warn('message on the wrong topic ignored', message_type: message.type)
    end

    def welcome(message, now)
      return @log.debug('welcome of another worker ignored') unless @session.mine?(message)

      @work.resend_ms = [message['resend_ms'], 1].max
      @session.welcome(message, now)
      limits = message['limits']
      @reader.announce(batch_bytes: limits['batch_bytes'], depth: limits['depth'])
      @limits.result_bytes = limits['result_bytes']
      @limits.depth = limits['depth']
    end

    def rebuild(now)
      @sockets.rebuild
      @session.reconnected(now)
    end

    # +deadline_ms+: what the orchestrator allows; the worker's own limit holds when it is shorter. A second
    # drain can only make the time shorter.
    def begin_drain(reason, deadline_ms, now)
      own = @settings.drain_timeout * 1000
      allowed = deadline_ms ? deadline_ms.clamp(0, own) : own
      return if @draining && now + allowed >= @draining

      @draining = now + allowed
      @stop_handlers_ms = @draining - [STOP_BEFORE_MS, allowed / 2].min
      @log.info('draining', reason: reason, limit_ms: allowed.round, unfinished: @work.unfinished,
                            unacked: @work.outbox.size)
      @work.drain
    end

    # The time that is left is for handlers to end, and for their reports to be acknowledged.
    def stop_handlers
      @stop_handlers_ms = nil
      @work.stop_running(DRAINING)
    end

    def drained(now)
      if @work.settled? && @work.outbox.empty?
        # A timed-out handler may still run; nobody waits for it, but it makes the promise untrue.
        finish(@work.in_flight.zero? ? DRAINED : HANDLERS_RUNNING, ExitCode::DRAINED)
      elsif now >= @draining
        @log.error('drain limit reached', unfinished: @work.unfinished, unacked: @work.outbox.size)
        finish(DEADLINE, ExitCode::UNFINISHED)
      end
    end

    # From here on nothing is read, so nothing that arrives now is ever started.
    def finish(reason, code)
      @session.goodbye(reason)
      @log.info('goodbye', reason: reason, exit_code: code)
      code
    end
  end
end
