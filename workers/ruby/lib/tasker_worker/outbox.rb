# frozen_string_literal: true

module TaskerWorker
  # Reports that the orchestrator has not acknowledged yet. A report is encoded once and sent again
  # byte for byte: after resend_ms, then twice as long each time up to RESEND_MAX_MS, and at once when
  # a session has been proven anew. Socket thread only.
  class Outbox
    RESEND_MAX_MS = 30_000

    # +steps+: [[step_id, attempt], …] the message reports; empty for a completion.
    Entry = Struct.new(:batch_id, :sequence, :frame, :steps, :added_ms, :level, :due_ms, :gone)

    attr_reader :size

    def initialize(limit:, resend_ms: 1000)
      @limit = limit
      @resend_ms = resend_ms
      @entries = {} # batch_id → {sequence → Entry}, both in order of arrival
      @size = 0
      reset_levels
    end

    def resend_ms=(value)
      @resend_ms = [value, 1].max
    end

    def full? = @size >= @limit
    def empty? = @size.zero?

    # Keeps +frame+ until it is acked. The caller sends it the first time.
    def add(batch_id, sequence, frame, steps, now)
      entry = Entry.new(batch_id, sequence, frame, steps, now, 0, now + @resend_ms, false)
      (@entries[batch_id] ||= {})[sequence] = entry
      @size += 1
      @levels[0] << entry
      entry
    end

    # Forgets a report that was acked or refused; nil when it is not (or no longer) here.
    def remove(batch_id, sequence)
      batch = @entries[batch_id]
      entry = batch&.delete(sequence)
      return nil if entry.nil?

      @entries.delete(batch_id) if batch.empty?
      entry.gone = true
      @size -= 1
      entry
    end

    # Entries whose time to be sent again has come; each is put off for twice as long as before.
    def due(now)
      result = []
      @levels.each do |level|
        drop_gone(level)
        while (entry = level.first) && entry.due_ms <= now
          level.shift
          next if entry.gone

          result << entry
        end
      end
      result.each { |entry| put_off(entry, now) }
    end

    # When `due` will next return something; nil when there is nothing to send.
    def next_due_ms
      @levels.filter_map do |level|
        drop_gone(level)
        level.first&.due_ms
      end.min
    end

    # Every entry in order of arrival, with its delay started anew (a session was proven anew).
    def resend_all(now)
      reset_levels
      each_entry.to_a.sort_by(&:added_ms).each do |entry|
        entry.level = 0
        entry.due_ms = now + @resend_ms
        @levels[0] << entry
      end
    end

    # What is kept of one batch, all of it or only the given sequences or steps.
    def of_batch(batch_id, sequences: nil, step_ids: nil)
      entries = @entries[batch_id]&.values || []
      return entries if sequences.nil? && step_ids.nil?

      entries.select do |entry|
        sequences&.include?(entry.sequence) || step_ids&.any? do |id|
          entry.steps.any? do |step, _|
            step == id
          end
        end
      end
    end

    # The steps reported and not acked: [[batch_id, step_id, attempt], …].
    def unacked_steps
      each_entry.flat_map do |entry|
        entry.steps.map do |step_id, attempt|
          [entry.batch_id, step_id, attempt]
        end
      end
    end

    def oldest_ms(now)
      # Both maps keep the order of arrival, but batches interleave: the first entry of each decides.
      oldest = @entries.each_value.map { |batch| batch.each_value.first.added_ms }.min
      oldest ? (now - oldest).round : 0
    end

    private

    def each_entry(&)
      return enum_for(:each_entry) unless block_given?

      @entries.each_value { |batch| batch.each_value(&) }
    end

    # One queue per delay: within a queue entries are due in the order they were put there, so only
    # its head needs a look. Acked entries stay in their queue, marked, until they are its head.
    def reset_levels
      depth = 1
      depth += 1 while (@resend_ms << (depth - 1)) < RESEND_MAX_MS
      @levels = Array.new([depth, 2].max) { [] }
    end

    def drop_gone(level)
      level.shift while level.first&.gone
    end

    def put_off(entry, now)
      entry.level = [entry.level + 1, @levels.size - 1].min
      entry.due_ms = now + [@resend_ms << entry.level, RESEND_MAX_MS].min
      @levels[entry.level] << entry
    end
  end
end
