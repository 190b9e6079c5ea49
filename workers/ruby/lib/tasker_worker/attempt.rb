# frozen_string_literal: true

module TaskerWorker
  # One try of one step on its way through this worker: its state, its times, its names in inventories and
  # in the log. The socket thread owns it, except for `started_ms`, `state` and `ended`, which the pool
  # thread sets when it takes the attempt and when the handler has ended.
  class Attempt
    # An `in_progress` report is sent once a handler has run this long; shorter ones need none.
    ANNOUNCE_MS = 200
    # A handler whose time is over gets this long to notice `cancelled?` and end by itself. Then it may be
    # tried again like any failed step; one that runs on might run beside its own next attempt.
    STOP_GRACE_MS = 100
    TIMEOUT = 'timeout'

    # held: accepted, not started · running: in the pool · reported: its final report was made
    # (a timed-out handler may still run) · handed_back: rejected, will not start.
    attr_accessor :state, :started_ms, :start_by_ms, :claim, :ended
    # announced: its `in_progress` report was made. overdue: its time is over and it was asked to stop.
    attr_accessor :announced, :overdue
    attr_reader :batch, :step_id, :number, :handler, :task, :sequence, :step, :cancel_flag, :timeout_ms

    # +request+: one element of the `steps` of a step_batch_request. +handler+: its Registry::Entry.
    def initialize(batch, request, handler)
      @batch = batch
      @handler = handler
      @cancel_flag = CancelFlag.new
      @task = StepValues.task(request)
      @sequence = StepValues.sequence(request)
      @step = StepValues.step(request, @cancel_flag)
      @step_id = @step.step_id
      @number = @step.attempt
      @timeout_ms = @step.timeout_ms
      @state = :held
      @announced = @ended = @overdue = false
    end

    def claim_first? = @step.claim_first
    def held? = @state == :held
    def reported? = @state == :reported

    # The worker still has to report it or hand it back.
    def open? = %i[held running].include?(@state)

    # The attempt's name in inventories.
    def ref
      { 'batch_id' => @batch.id, 'step_id' => @step_id, 'attempt' => @number }
    end

    def age_ms(now)
      @started_ms ? [(now - @started_ms).round, 0].max : 0
    end

    # When the handler's time is over, and after it was asked to stop, when its grace is. Only once started.
    def stop_at_ms
      @started_ms + @timeout_ms + (@overdue ? STOP_GRACE_MS : 0)
    end

    def announcement_due?(now) = !@announced && now - @started_ms >= ANNOUNCE_MS

    # When something is to be done about the running handler; nil when nothing is.
    def next_due_ms
      return nil if reported? || @started_ms.nil?

      @announced ? stop_at_ms : [@started_ms + ANNOUNCE_MS, stop_at_ms].min
    end

    def ask_to_stop
      @overdue = true
      @cancel_flag.set(TIMEOUT)
    end

    # It ended with an error because it was asked to stop: that error is not the cause.
    def timed_out_with?(outcome) = @overdue && outcome.status != 'completed'

    # The outcome of an attempt whose time is over. +stopped+: whether its handler has ended.
    def timeout_outcome(execution_ms, stopped:)
      error = ErrorReport.build("no result within #{@timeout_ms} ms", error_type: 'TimeoutError',
                                                                      retryable: true, error_code: TIMEOUT,
                                                                      handler_stopped: stopped)
      Outcome.new('failed', nil, error, execution_ms)
    end

    # The fields of every log line about it.
    def log_fields
      { task_id: @task.task_id, step_id: @step_id, attempt: @number, step_name: @step.name,
        batch_id: @batch.id }
    end
  end
end
