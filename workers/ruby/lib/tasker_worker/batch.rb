# frozen_string_literal: true

module TaskerWorker
  # A batch as delivered: its attempts by step, the sequence of its messages, and what has been reported,
  # from which the completion is made. Socket thread only.
  class Batch
    Summary = Struct.new(:step_id, :attempt, :status, :execution_ms)

    attr_reader :id, :session, :id_json, :attempts, :summaries, :rejections
    attr_accessor :accepted

    # +session+: the one it was sent to, which every report about it names.
    def initialize(id, session, now)
      @id = id
      @id_json = JSON.generate(id)
      @session = session
      @started_ms = now
      @attempts = {}
      @summaries = []
      @rejections = []
      @sequence = 0
      @open = 0
      @accepted = false
    end

    def add(attempt)
      @attempts[attempt.step_id] = attempt
      @open += 1
    end

    def next_sequence = @sequence += 1

    def reported(attempt, status, execution_ms)
      @summaries << Summary.new(attempt.step_id, attempt.number, status, execution_ms)
      @open -= 1
    end

    def handed_back(attempt)
      attempt.state = :handed_back
      @open -= 1
    end

    # Nothing is left to report.
    def ended? = @open.zero?

    # Whether a completion follows: not when every step was handed back, but when there was none.
    def completes? = !@summaries.empty? || (@attempts.empty? && @rejections.empty?)

    def age_ms(now) = [(now - @started_ms).round, 0].max
  end

  # The batches this worker has seen: those in hand, and what must be remembered of the last ended ones to
  # answer a repetition exactly as before. Socket thread only.
  class BatchBook
    ENDED_MAX = 10_000

    Ended = Struct.new(:id, :id_json, :session, :accepted, :rejections)

    def initialize(ended_max: ENDED_MAX)
      @open = {}
      @ended = {}
      @ended_max = ended_max
    end

    # The batch or what is remembered of it; nil when it was never seen.
    def seen(id) = @open[id] || @ended[id]

    def add(batch)
      @open[batch.id] = batch
    end

    # From now on the batch is only remembered.
    def finish(batch)
      @open.delete(batch.id)
      @ended[batch.id] = Ended.new(batch.id, batch.id_json, batch.session, batch.accepted, batch.rejections)
      @ended.shift if @ended.size > @ended_max
    end

    # No batch is in hand.
    def settled? = @open.empty?

    # The attempts that are held or running.
    def open_attempts
      @open.each_value.flat_map { |batch| batch.attempts.values }.select(&:open?)
    end

    # The attempt that +ref+ names ({batch_id, step_id, attempt}), unless it is handed back; nil when this
    # worker does not have it, or has it in another attempt.
    def attempt(ref)
      found = @open[ref['batch_id']]&.attempts&.[](ref['step_id'])
      found if found && found.number == ref['attempt'] && found.state != :handed_back
    end
  end
end
