# frozen_string_literal: true

module TaskerWorker
  # Steps with claim_first: each asks for permission right before its handler starts, and only when a
  # handler slot is free for it. The permission holds for a window counted from when the request that
  # it answers was sent, on the boot-time clock, so a worker that was frozen in between does not start. A
  # step whose window is over is handed back. The pool looks at the clock once more right before the start.
  # Socket thread only.
  class Claims
    State = Struct.new(:n, :sent, :due_ms)

    # +send_request+: called with (attempt, n). +resend_ms+: called for the current value.
    def initialize(send_request:, resend_ms:)
      @send_request = send_request
      @resend_ms = resend_ms
      @waiting = []
      @asking = {}
    end

    def add(attempt)
      attempt.claim = State.new(0, {}, 0)
      @waiting << attempt
    end

    def empty? = @waiting.empty? && @asking.empty?
    def asking_count = @asking.size
    def count = @waiting.size + @asking.size

    # Asks for up to +free_slots+ more attempts and repeats requests that were not answered.
    def tick(now, free_slots)
      while free_slots.positive? && (attempt = @waiting.shift)
        @asking[key(attempt.batch.id, attempt.step_id, attempt.number)] = attempt
        ask(attempt, now)
        free_slots -= 1
      end
      @asking.each_value { |waiting| ask(waiting, now) if waiting.claim.due_ms <= now }
    end

    def next_due_ms
      @asking.each_value.map { |attempt| attempt.claim.due_ms }.min
    end

    # [the attempt that may start, with its deadline set; the attempt to hand back since its window is
    # over]; at least one is nil. Both are nil for an answer to nothing, and for a late answer to a request
    # that was repeated since.
    def granted(message, now)
      id = key(message['batch_id'], message['step_id'], message['attempt'])
      attempt = @asking[id]
      sent = attempt&.claim&.sent&.[](message['n'])
      return [nil, nil] if sent.nil?

      deadline = sent + message['start_window_ms']
      if now > deadline
        # A later request is on its way, with a window of its own.
        return [nil, nil] if message['n'] < attempt.claim.n

        return [nil, @asking.delete(id)]
      end
      attempt.start_by_ms = deadline
      [@asking.delete(id), nil]
    end

    # The attempt that may not start; nil when nobody asked.
    def denied(message)
      id = key(message['batch_id'], message['step_id'], message['attempt'])
      return nil unless @asking[id]&.claim&.sent&.key?(message['n'])

      @asking.delete(id)
    end

    # Takes out the attempts for which the block is true; they will not start.
    def withdraw(&)
      taken, @waiting = @waiting.partition(&)
      taken += @asking.values.select(&)
      @asking.delete_if { |_, attempt| taken.include?(attempt) }
      taken
    end

    private

    def ask(attempt, now)
      claim = attempt.claim
      claim.n += 1
      claim.sent[claim.n] = now
      claim.sent.shift if claim.sent.size > 16
      claim.due_ms = now + @resend_ms.call
      @send_request.call(attempt, claim.n)
    end

    def key(batch_id, step_id, attempt) = [batch_id, step_id, attempt]
  end
end
