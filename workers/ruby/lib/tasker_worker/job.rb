# frozen_string_literal: true

module TaskerWorker
  # One delivered attempt of a step on its way through this worker. The socket thread owns it, except
  # for `started_ms`, which the pool thread sets when it takes the job.
  class Job
    # held: accepted, not started · running: in the pool · reported: its final report was made
    # (a timed-out handler may still run) · handed_back: rejected, will not start.
    # overdue: its time is over and it was told to stop.
    attr_accessor :state, :started_ms, :hinted, :start_by_ms, :claim, :ended, :overdue
    attr_reader :batch, :step_id, :attempt, :handler, :task, :sequence, :step, :cancel_flag, :timeout_ms

    def initialize(batch, request, handler)
      @batch = batch
      @handler = handler
      @cancel_flag = CancelFlag.new
      @task = StepValues.task(request)
      @sequence = StepValues.sequence(request)
      @step = StepValues.step(request, @cancel_flag)
      @step_id = @step.step_id
      @attempt = @step.attempt
      @timeout_ms = @step.timeout_ms
      @state = :held
      @hinted = @ended = @overdue = false
    end

    def claim_first? = @step.claim_first

    # The job's name in inventories.
    def ref
      { 'batch_id' => @batch.id, 'step_id' => @step_id, 'attempt' => @attempt }
    end

    def age_ms(now)
      @started_ms ? [(now - @started_ms).round, 0].max : 0
    end

    def log_fields
      { task_id: @task.task_id, step_id: @step_id, attempt: @attempt, step: @step.name, batch_id: @batch.id }
    end
  end

  # A batch as delivered: its jobs by (step, attempt), the sequence of its messages, and what has been
  # reported, from which the completion is made.
  class Batch
    Summary = Struct.new(:step_id, :attempt, :status, :execution_ms)

    attr_reader :id, :session, :id_json, :jobs, :summaries, :rejections
    attr_accessor :accepted

    def initialize(id, session, now)
      @id = id
      @id_json = JSON.generate(id)
      @session = session
      @started_ms = now
      @jobs = {}
      @summaries = []
      @rejections = []
      @sequence = 0
      @open = 0
      @accepted = false
    end

    def add(job)
      @jobs[job.step_id] = job
      @open += 1
    end

    def next_sequence = @sequence += 1

    def reported(job, status, execution_ms)
      @summaries << Summary.new(job.step_id, job.attempt, status, execution_ms)
      @open -= 1
    end

    def handed_back(_job)
      @open -= 1
    end

    # Nothing is left to report.
    def ended? = @open.zero?

    def age_ms(now) = [(now - @started_ms).round, 0].max
  end

  # What one handler run ended with. +output_json+ is JSON text or nil; +error+ is the wire's error
  # object or nil.
  Outcome = Struct.new(:status, :output_json, :error, :execution_ms)
end
