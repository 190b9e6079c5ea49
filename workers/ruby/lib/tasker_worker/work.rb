# frozen_string_literal: true

module TaskerWorker
  # The steps this worker has in hand: takes batches in, hands their attempts to the pool, reports what
  # became of them, and lists them for the inventories. Reports stay in the outbox until they are acked.
  # Each accepted step ends in exactly one final partial result or one rejection. Socket thread only.
  class Work
    # How late the start of a queued step may be noticed (the pool does not announce starts).
    START_CHECK_MS = 50

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
      @book = BatchBook.new
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
    # +over_limit+: it is larger or deeper than the orchestrator has announced.
    def deliver(message, session, now, over_limit: false)
      known = @book.seen(message['batch_id'])
      return answer_again(known) if known

      batch = Batch.new(message['batch_id'], session, now)
      refused = take_in(batch, message['steps'], over_limit)
      if refused.empty? || !batch.attempts.empty?
        @book.add(batch)
        batch.accepted = true
        @publish.call(@reports.accepted(batch))
      end
      hand_back(batch, refused) unless refused.empty?
      start(batch.attempts.values)
      close(batch, now) if batch.attempts.empty? && refused.empty?
    end

    # Reports what ended in the pool since the last call.
    def collect(now)
      return unless @pool.finished?

      @pool.take_finished.each do |attempt, outcome|
        if outcome.nil?
          window_missed(attempt)
        elsif attempt.reported?
          drop_late_result(attempt, outcome)
        elsif outcome.snoozed? && !attempt.overdue
          snooze(attempt, outcome)
        else
          timed_out = attempt.timed_out_with?(outcome)
          outcome = attempt.timeout_outcome(outcome.execution_ms, stopped: true) if timed_out
          report(attempt, outcome, now)
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

    # Everything that depends on time: announcements, time-outs, claims, resends.
    def tick(now)
      @pool.running.each { |attempt| watch(attempt, now) } if @in_flight.positive?
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
      times.concat(@pool.running.map(&:next_due_ms))
      # An attempt that was just handed over may not have started yet.
      times << (now + START_CHECK_MS) if @in_flight > @pool.running_count + @claims.count
      times.compact.min
    end

    def ack(message)
      message['batches'].each do |acked|
        acked['sequences'].each { |sequence| @outbox.remove(acked['batch_id'], sequence) }
      end
      message['rejected'].each do |refused|
        @outbox.remove(refused['batch_id'], refused['sequence'])
        @log.error('report refused', batch_id: refused['batch_id'], sequence: refused['sequence'],
                                     code: refused['code'])
      end
    end

    def cancel(message)
      attempts = message['steps'].filter_map { |ref| @book.attempt(ref) }
      # First what waits: a handler that is asked to stop makes room for the next step at once.
      withdraw('cancelled') { |attempt| attempts.include?(attempt) }
      attempts.each do |attempt|
        next if attempt.state == :handed_back

        @log.info('step cancelled', **attempt.log_fields, reason: message['reason'])
        attempt.cancel_flag.set(message['reason'])
      end
    end

    def start_granted(message, now)
      attempt, missed = @claims.granted(message, now)
      @pool.submit([attempt]) if attempt
      window_missed(missed) if missed
    end

    def start_denied(message)
      attempt = @claims.denied(message)
      return if attempt.nil?

      @log.info('start denied', **attempt.log_fields, reason: message['reason'])
      hand_back_attempts(attempt.batch, [attempt], 'start_denied')
    end

    def report_request(message)
      send_again(@outbox.of_batch(message['batch_id'], sequences: message['sequences'],
                                                       step_ids: message['step_ids']))
    end

    def resend_all(now)
      send_again(@outbox.resend_all(now))
    end

    # The session id changes: what had not started is dropped, for nobody waits for it under this name.
    # Running handlers go on; their reports name the old session and are sent by the new one. Returns how many
    # steps were dropped.
    def leave_session(new_id, now)
      @reports.session = new_id
      @outbox.reframe { |frame| Reports.sent_by(frame, new_id) }
      dropped = @pool.withdraw { true } + @claims.withdraw { true }
      dropped.each do |attempt|
        attempt.batch.handed_back(attempt)
        @in_flight -= 1
        close(attempt.batch, now) if attempt.batch.ended?
      end
      dropped.size
    end

    # From now on nothing starts: what waits goes back, what runs may end.
    def drain
      @draining = true
      withdraw('draining') { true }
    end

    # Asks the handlers that run to stop, except those that were asked already.
    def stop_running(reason)
      @pool.running.each do |attempt|
        next if attempt.reported? || attempt.cancel_flag.set?

        @log.info('step cancelled', **attempt.log_fields, reason: reason)
        attempt.cancel_flag.set(reason)
      end
    end

    # Every step that was accepted is reported or handed back (timed-out handlers may still run).
    def settled? = @book.settled? && !@pool.finished?

    # How many accepted steps are neither reported nor handed back.
    def unfinished = @book.open_attempts.size

    def free_slots = @settings.capacity - @pool.running_count

    # What hello and ready list: each attempt in exactly one of three lists. The orchestrator draws
    # conclusions from what is missing, so they are complete.
    def inventory
      held, running = live_attempts.partition(&:held?)
      { 'held' => held.map(&:ref), 'running' => running.map(&:ref), 'unacked' => unacked_besides(running) }
    end

    # The same for a heartbeat, with ages.
    def heartbeat_inventory(now)
      held, running = live_attempts.partition(&:held?)
      { 'held' => held.map(&:ref),
        'running' => running.map { |attempt| attempt.ref.merge('age_ms' => attempt.age_ms(now)) },
        'unacked' => unacked_besides(running), 'oldest_unacked_ms' => @outbox.oldest_ms(now),
        'free' => @outbox.full? ? 0 : [free_slots, 0].max }
    end

    private

    # Fills the batch with the steps that can be taken; returns the others as [[step_id, attempt, reason], …].
    def take_in(batch, requests, over_limit)
      refused = []
      distinct(batch, requests).each do |request|
        handler = handler_for(request)
        reason = refusal(handler, over_limit)
        if reason
          refused << [request['step_id'], request['metadata']['attempt'], reason]
        else
          batch.add(Attempt.new(batch, request, handler))
          @in_flight += 1
        end
      end
      refused
    end

    def distinct(batch, requests)
      requests.each_with_object({}) do |request, first|
        step_id = request['step_id']
        if first.key?(step_id)
          @log.error('step named twice in its batch', batch_id: batch.id, step_id: step_id)
        else
          first[step_id] = request
        end
      end.values
    end

    def handler_for(request)
      @registry.find(request['handler_class'], request['handler_config'])
    end

    def refusal(handler, over_limit)
      return 'draining' if @draining
      return 'too_large' if over_limit
      return 'unknown_handler' if handler.nil?

      'over_capacity' if @in_flight >= @settings.in_flight_max
    end

    def start(attempts)
      claiming, ready = attempts.partition(&:claim_first?)
      @pool.submit(ready) unless ready.empty?
      claiming.each { |attempt| @claims.add(attempt) }
    end

    def answer_again(batch)
      @log.info('known batch answered again', batch_id: batch.id)
      @publish.call(@reports.accepted(batch)) if batch.accepted
      kept = @outbox.of_batch(batch.id)
      send_again(kept)
      # An acked rejection is the whole answer to a batch of which nothing was accepted.
      batch.rejections.each { |frame| @publish.call(frame) } if kept.empty? && !batch.accepted
    end

    def watch(attempt, now)
      return if attempt.reported? || attempt.ended

      if now >= attempt.stop_at_ms
        attempt.overdue ? time_out(attempt, now) : attempt.ask_to_stop
      elsif attempt.announcement_due?(now)
        announce(attempt, now)
      end
    end

    # A hint: it takes its number, but it is not kept for resending.
    def announce(attempt, now)
      attempt.announced = true
      batch = attempt.batch
      hint = @reports.partial(attempt, batch.next_sequence,
                              Outcome.new('in_progress', nil, nil, attempt.age_ms(now)))
      @publish.call(@reports.in_name(batch, hint))
    end

    # Threads cannot be killed safely, so the handler goes on and keeps its slot until it returns.
    def time_out(attempt, now)
      @log.warn('handler timed out and still runs', **attempt.log_fields, timeout_ms: attempt.timeout_ms)
      report(attempt, attempt.timeout_outcome(attempt.age_ms(now), stopped: false), now, stopped: false)
    end

    def drop_late_result(attempt, outcome)
      @in_flight -= 1
      @slot_freed = true
      @log.warn('late result dropped', **attempt.log_fields, status: outcome.status)
    end

    def report(attempt, outcome, now, stopped: true)
      batch = attempt.batch
      attempt.state = :reported
      @in_flight -= 1 if stopped
      batch.reported(attempt, outcome.status, outcome.execution_ms)
      keep_and_send(batch, [[attempt.step_id, attempt.number]], now) do |sequence|
        @reports.partial(attempt, sequence, outcome)
      end
      log_outcome(attempt, outcome) if outcome.error || @log.debug?
      close(batch, now) if batch.ended?
    end

    def log_outcome(attempt, outcome)
      error = outcome.error
      ms = outcome.execution_ms
      return @log.debug('step completed', **attempt.log_fields, execution_ms: ms) unless error

      @log.warn('step failed', **attempt.log_fields, status: outcome.status, error_type: error['error_type'],
                                                     error_code: error['error_code'],
                                                     error: error['message'], execution_ms: ms,
                                                     backtrace: error['backtrace']&.join("\n"))
    end

    # The block gives the frame for its sequence number; returns the frame as it goes out.
    def keep_and_send(batch, steps, now)
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

    # A batch of which everything was handed back has nothing to complete.
    def close(batch, now)
      if batch.completes?
        keep_and_send(batch, [], now) { |sequence| @reports.completion(batch, sequence, now) }
      end
      @book.finish(batch)
    end

    def window_missed(attempt) = hand_back_attempts(attempt.batch, [attempt], 'start_window_missed')

    def withdraw(reason, &)
      taken = @pool.withdraw(&) + @claims.withdraw(&)
      taken.group_by(&:batch).each { |batch, attempts| hand_back_attempts(batch, attempts, reason) }
    end

    # Its handler asked to be called again later.
    def snooze(attempt, outcome)
      @log.info('step snoozed', **attempt.log_fields, wait_seconds: outcome.retry_after,
                                                      reason: outcome.message)
      keep_rejection(attempt.batch, handed_back([attempt], SNOOZED), outcome.snooze_details)
    end

    # Attempts that were accepted and will never start.
    def hand_back_attempts(batch, attempts, reason) = hand_back(batch, handed_back(attempts, reason))

    def handed_back(attempts, reason)
      @in_flight -= attempts.size
      attempts.each { |attempt| attempt.batch.handed_back(attempt) }
      attempts.map { |attempt| [attempt.step_id, attempt.number, reason] }
    end

    # +rejections+: [[step_id, attempt, reason], …].
    def hand_back(batch, steps)
      @log.info('steps handed back', batch_id: batch.id, reason: steps.first[2], steps: steps.size)
      keep_rejection(batch, steps)
    end

    def keep_rejection(batch, rejections, details = {})
      now = @clock.now_ms
      frame = keep_and_send(batch, rejections.map { |step| step.first(2) }, now) do |sequence|
        @reports.rejected(batch, sequence, rejections, details)
      end
      batch.rejections << frame
      close(batch, now) if batch.ended?
    end

    def request_start(attempt, number)
      @publish.call(Wire::Frame::WORKERS + Wire::Codec.encode(
        'start_request', attempt.ref.merge('session' => attempt.batch.session, 'n' => number)
      ))
    end

    # Held and running, timed-out handlers that still run included.
    def live_attempts = @book.open_attempts + @pool.running.select(&:reported?)

    # A timed-out handler that still runs is reported, but stays listed as running until it ends.
    def unacked_besides(running)
      timed_out = running.select(&:reported?)
                         .map { |attempt| [attempt.batch.id, attempt.step_id, attempt.number] }
      (@outbox.unacked_steps - timed_out).map do |batch_id, step_id, attempt|
        { 'batch_id' => batch_id, 'step_id' => step_id, 'attempt' => attempt }
      end
    end
  end
end
