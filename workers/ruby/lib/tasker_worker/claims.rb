# frozen_string_literal: true

module TaskerWorker
  # Steps with claim_first: each asks for permission right before its handler starts, and only when a
  # handler slot is free for it. The permission holds for a window counted from when the request that
  # it answers was sent, on the boot-time clock, so a worker that was frozen in between does not start.
  # Socket thread only.
  class Claims
    # A window missed this often is given back instead of asked for again.
    MISSES_MAX = 3

    State = Struct.new(:n, :sent, :due_ms, :misses)

    # +send_request+: called with (job, n). +resend_ms+: called for the current value.
    def initialize(send_request:, resend_ms:)
      @send_request = send_request
      @resend_ms = resend_ms
      @waiting = []
      @asking = {}
    end

    def add(job)
      job.claim = State.new(0, {}, 0, 0)
      @waiting << job
    end

    def empty? = @waiting.empty? && @asking.empty?
    def asking_count = @asking.size
    def count = @waiting.size + @asking.size

    # Asks for up to +free_slots+ more jobs and repeats requests that were not answered.
    def tick(now, free_slots)
      while free_slots.positive? && (job = @waiting.shift)
        @asking[key(job.batch.id, job.step_id, job.attempt)] = job
        ask(job, now)
        free_slots -= 1
      end
      @asking.each_value { |waiting| ask(waiting, now) if waiting.claim.due_ms <= now }
    end

    def next_due_ms
      @asking.each_value.map { |job| job.claim.due_ms }.min
    end

    # The job that may start now, with its deadline set; nil when the grant fits no request or is late
    # (then the next request asks again).
    def granted(message, now)
      id = key(message['batch_id'], message['step_id'], message['attempt'])
      job = @asking[id]
      sent = job&.claim&.sent&.[](message['n'])
      return nil if sent.nil?

      deadline = sent + message['start_window_ms']
      return nil if now > deadline

      @asking.delete(id)
      job.start_by_ms = deadline
      job
    end

    # The job that may not start; nil when nobody asked.
    def denied(message)
      id = key(message['batch_id'], message['step_id'], message['attempt'])
      return nil unless @asking[id]&.claim&.sent&.key?(message['n'])

      @asking.delete(id)
    end

    # The pool got to a granted job too late. True when it will ask again.
    def missed?(job)
      job.claim.misses += 1
      job.start_by_ms = nil
      job.state = :held
      return false if job.claim.misses >= MISSES_MAX

      @waiting.unshift(job)
      true
    end

    # Takes out the jobs for which the block is true; they will not start.
    def withdraw(&)
      taken, @waiting = @waiting.partition(&)
      taken += @asking.values.select(&)
      @asking.delete_if { |_, job| taken.include?(job) }
      taken
    end

    private

    def ask(job, now)
      claim = job.claim
      claim.n += 1
      claim.sent[claim.n] = now
      claim.sent.shift if claim.sent.size > 16
      claim.due_ms = now + @resend_ms.call
      @send_request.call(job, claim.n)
    end

    def key(batch_id, step_id, attempt) = [batch_id, step_id, attempt]
  end
end
