# frozen_string_literal: true

module TaskerWorker
  # The batches and steps this worker has: takes them in, hands them to the pool, reports what became of
  # them, and keeps the reports until they are acked. Each accepted step ends in exactly one final
  # partial result or one rejection. Socket thread only.
  class Workload
    include Inventory

    # An `in_progress` report is sent once a handler has run this long; shorter ones need none.
    HINT_MS = 200
    # How late the start of a queued step may be noticed (the pool does not announce starts).
    START_CHECK_MS = 50
    FINISHED_MAX = 10_000
    # A handler whose time is over gets this long to notice `cancelled?` and end by itself. Then it may be
    # tried again like any failed step; one that runs on might run beside its own next attempt.
    STOP_GRACE_MS = 100
    TIMEOUT = 'timeout'

    # What must be remembered of a batch that has ended, to answer its repetition.
    Finished = Struct.new(:id, :id_json, :session, :accepted, :rejections)

    attr_reader :outbox, :claims, :in_flight
    # Whether an orchestrator answers; what is sent again while none does would pile up in the sockets.
    attr_accessor :answered

    # +publish+: called with each frame that goes out.
    def initialize(settings:, registry:, pool:, outbox:, reports:, publish:, log:, clock: Clock)
      @settings = settings
      @registry = registry
      @pool = pool
      @outbox = outbox
      @reports = reports
      @publish = publish
      @log = log
      @clock = clock
      @open = {}
      @finished = {}
      @in_flight = 0
      @draining = @slot_freed = @answered = false
      @resend_ms = 1000
      @claims = Claims.new(send_request: method(:request_start), resend_ms: -> { @resend_ms })
    end

    def resend_ms=(value)
      @resend_ms = value
      @outbox.resend_ms = value
    end

    # A step_batch_request. A batch that is already known is never run again, only answered again.
    def deliver(message, session, now)
      id = message['batch_id']
      known = @open[id] || @finished[id]
      return answer_again(known) if known

      batch = Batch.new(id, session, now)
      refused = take_in(batch, message['steps'])
      unless batch.jobs.empty?
        @open[id] = batch
        batch.accepted = true
        @publish.call(@reports.accepted(batch))
      end
      hand_back(batch, refused) unless refused.empty?
      start(batch.jobs.values)
    end

    # Reports what ended in the pool since the last call.
    def collect(now)
      return unless @pool.finished?

      @pool.take_finished.each do |job, outcome|
        if outcome.nil?
          window_missed(job)
        elsif job.state == :reported
          @in_flight -= 1
          @slot_freed = true
          @log.warn('result of a timed-out handler dropped', **job.log_fields, status: outcome.status)
        else
          outcome = timeout_outcome(job, outcome.execution_ms, true) if timed_out?(job, outcome)
          report(job, outcome, now)
        end
      end
    end

    # True once after a timed-out handler has ended: the orchestrator learns from the next heartbeat that
    # its slot is free, so that one should not wait.
    def slot_freed?
      freed = @slot_freed
      @slot_freed = false
      freed
    end

    # Everything that depends on time: hints, time-outs, claims, resends.
    def tick(now)
      @pool.running.each { |job| watch(job, now) } if @in_flight.positive?
      flush(now)
      unless @claims.empty?
        @claims.tick(now,
                     @outbox.full? ? 0 : free_slots - @pool.queued_count - @claims.asking_count)
      end
      due = @outbox.next_due_ms
      return if !@answered || due.nil? || due > now

      send_again(@outbox.due(now))
    end

    # Sends what has reached the disk, and holds the pool back while the outbox is full.
    def flush(now)
      send_again(@outbox.flush(now))
      @pool.room(@outbox.room_steps, @outbox.room_bytes)
    end

    # When `tick` has something to do next; nil when only a message or a handler's end can change that.
    def next_due_ms(now)
      times = [(@outbox.next_due_ms if @answered), @outbox.next_flush_ms, @claims.next_due_ms]
      times << (now + START_CHECK_MS) if @pool.queued_count.positive?
      @pool.running.each do |job|
        next if job.state == :reported || job.started_ms.nil?

        times << (job.started_ms + HINT_MS) unless job.hinted
        times << stop_at(job)
      end
      # A job that was just handed over may not have started yet.
      times << (now + START_CHECK_MS) if @in_flight > @pool.running_count + @claims.count
      times.compact.min
    end

    def ack(message)
      message['batches'].each do |acked|
        acked['sequences'].each { |sequence| @outbox.remove(acked['batch_id'], sequence) }
      end
      message['rejected'].each do |refused|
        @outbox.remove(refused['batch_id'], refused['sequence'])
        @log.error('the orchestrator refused a report', batch_id: refused['batch_id'],
                                                        sequence: refused['sequence'], code: refused['code'])
      end
    end

    def cancel(message)
      jobs = message['steps'].filter_map { |ref| known_job(ref) }
      # First what waits: a handler that is told to stop makes room for the next step at once.
      withdraw('cancelled') { |job| jobs.include?(job) }
      jobs.each do |job|
        @log.info('cancel', **job.log_fields, reason: message['reason'], state: job.state)
        job.cancel_flag.set(message['reason']) unless job.state == :handed_back
      end
    end

    def start_granted(message, now)
      job, missed = @claims.granted(message, now)
      @pool.submit([job]) if job
      window_missed(missed) if missed
    end

    def start_denied(message)
      job = @claims.denied(message)
      hand_back(job.batch, [[job.step_id, job.attempt, 'start_denied', job]]) if job
    end

    def report_request(message)
      send_again(@outbox.of_batch(message['batch_id'], sequences: message['sequences'],
                                                       step_ids: message['step_ids']))
    end

    def resend_all(now)
      send_again(@outbox.resend_all(now))
    end

    # The session id changes: what had not started is dropped, for nobody waits for it under this name.
    # Running handlers go on; their reports name the old session and are sent by the new one.
    def leave_session(new_id, now)
      @reports.session = new_id
      @outbox.reframe { |frame| Reports.sent_by(frame, new_id) }
      (@pool.withdraw { true } + @claims.withdraw { true }).each do |job|
        job.state = :handed_back
        job.batch.handed_back(job)
        @in_flight -= 1
        close(job.batch, now) if job.batch.ended?
      end
    end

    # From now on nothing starts: what waits goes back, what runs may end.
    def drain
      @draining = true
      withdraw('draining') { true }
    end

    # Every step that was accepted is reported or handed back (timed-out handlers may still run).
    def settled? = @open.empty? && !@pool.finished?

    def free_slots = @settings.capacity - @pool.running_count

    private

    # Fills the batch with the steps that can be taken; returns the others as rejections.
    def take_in(batch, requests)
      refused = []
      requests.each do |request|
        step_id = request['step_id']
        handler = handler_for(request)
        reason = refusal(handler)
        if reason
          refused << [step_id, request['metadata']['attempt'], reason]
        elsif batch.jobs.key?(step_id)
          @log.error('a step stands twice in its batch, the second is ignored', batch_id: batch.id,
                                                                                step_id: step_id)
        else
          batch.add(Job.new(batch, request, handler))
          @in_flight += 1
        end
      end
      refused
    end

    def handler_for(request)
      @registry.lookup(request['namespace'], request['task_name'], request['task_version'],
                       request['step_name'], request['handler_class'])
    end

    def refusal(handler)
      return 'draining' if @draining
      return 'unknown_handler' if handler.nil?

      'over_capacity' if @in_flight >= @settings.in_flight_max
    end

    def start(jobs)
      claiming, ready = jobs.partition(&:claim_first?)
      @pool.submit(ready) unless ready.empty?
      claiming.each { |job| @claims.add(job) }
    end

    def answer_again(batch)
      @log.debug('known batch answered again', batch_id: batch.id)
      @publish.call(@reports.accepted(batch)) if batch.accepted
      kept = @outbox.of_batch(batch.id)
      send_again(kept)
      # An acked rejection is the whole answer to a batch of which nothing was accepted.
      batch.rejections.each { |frame| @publish.call(frame) } if kept.empty? && !batch.accepted
    end

    def watch(job, now)
      return if job.state == :reported || job.ended

      age = now - job.started_ms
      if now >= stop_at(job)
        job.overdue ? time_out(job, age, now) : tell_to_stop(job)
      elsif !job.hinted && age >= HINT_MS
        job.hinted = true
        hint = @reports.partial(job, job.batch.next_sequence, Outcome.new('in_progress', nil, nil, age.round))
        @publish.call(@reports.in_name(job.batch, hint))
      end
    end

    def tell_to_stop(job)
      job.overdue = true
      job.cancel_flag.set(TIMEOUT)
    end

    # When the job's time is over, and after that, when its grace is.
    def stop_at(job)
      job.started_ms + job.timeout_ms + (job.overdue ? STOP_GRACE_MS : 0)
    end

    # Threads cannot be killed safely, so the handler goes on and keeps its slot until it returns.
    def time_out(job, age, now)
      @log.warn('handler timed out and still runs', **job.log_fields, timeout_ms: job.timeout_ms)
      report(job, timeout_outcome(job, age.round, false), now, stopped: false)
    end

    # It ended because we told it to; what it says about that is not the cause.
    def timed_out?(job, outcome)
      outcome.error && job.overdue
    end

    def timeout_outcome(job, execution_ms, stopped)
      error = ErrorReport.build("no result within #{job.timeout_ms} ms", error_type: 'TimeoutError',
                                                                         retryable: true, error_code: TIMEOUT,
                                                                         handler_stopped: stopped)
      Outcome.new('failed', nil, error, execution_ms)
    end

    def report(job, outcome, now, stopped: true)
      batch = job.batch
      job.state = :reported
      @in_flight -= 1 if stopped
      batch.reported(job, outcome.status, outcome.execution_ms)
      send_report(batch, [[job.step_id, job.attempt]], now) do |sequence|
        @reports.partial(job, sequence, outcome)
      end
      log_outcome(job, outcome) if outcome.error || @log.debug?
      close(batch, now) if batch.ended?
    end

    def log_outcome(job, outcome)
      return @log.debug('step completed', **job.log_fields, ms: outcome.execution_ms) unless outcome.error

      @log.warn("step #{outcome.status}", **job.log_fields, ms: outcome.execution_ms,
                                                            error_type: outcome.error['error_type'],
                                                            error_code: outcome.error['error_code'],
                                                            error: outcome.error['message'])
    end

    def send_report(batch, steps, now)
      sequence = batch.next_sequence
      frame = @reports.in_name(batch, yield(sequence))
      entry = @outbox.add(batch.id, sequence, frame, steps, now, session: batch.session)
      send_again([entry])
      frame
    end

    # What waits for the disk goes out when it is there, not before.
    def send_again(entries)
      entries.each { |entry| @publish.call(entry.frame) unless entry.unwritten }
    end

    def close(batch, now)
      unless batch.summaries.empty?
        send_report(batch, [], now) do |sequence|
          @reports.completion(batch, sequence, now)
        end
      end
      @open.delete(batch.id)
      @finished[batch.id] =
        Finished.new(batch.id, batch.id_json, batch.session, batch.accepted, batch.rejections)
      @finished.shift if @finished.size > FINISHED_MAX
    end

    # +rejections+: [[step_id, attempt, reason, job], …]; job is nil for steps never taken in.
    def hand_back(batch, rejections)
      now = @clock.now_ms
      rejections.each do |_, _, _, job|
        next if job.nil?

        job.state = :handed_back
        batch.handed_back(job)
        @in_flight -= 1
      end
      @log.info('steps handed back', batch_id: batch.id, steps: rejections.size, reason: rejections.first[2])
      steps = rejections.map { |step_id, attempt,| [step_id, attempt] }
      frame = send_report(batch, steps, now) { |sequence| @reports.rejected(batch, sequence, rejections) }
      batch.rejections << frame
      close(batch, now) if batch.ended?
    end

    def withdraw(reason, &)
      (@pool.withdraw(&) + @claims.withdraw(&)).group_by(&:batch).each do |batch, jobs|
        hand_back(batch, jobs.map { |job| [job.step_id, job.attempt, reason, job] })
      end
    end

    # The job that +ref+ names, if it is here in this attempt.
    def known_job(ref)
      job = @open[ref['batch_id']]&.jobs&.[](ref['step_id'])
      job if job && job.attempt == ref['attempt'] && job.state != :handed_back
    end

    def window_missed(job)
      hand_back(job.batch, [[job.step_id, job.attempt, 'start_window_missed', job]])
    end

    def request_start(job, number)
      @publish.call(Wire::Frame::WORKERS + Wire::Codec.encode(
        'start_request', job.ref.merge('session' => job.batch.session, 'n' => number)
      ))
    end
  end
end
