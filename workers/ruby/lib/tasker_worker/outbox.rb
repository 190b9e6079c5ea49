# frozen_string_literal: true

module TaskerWorker
  # Reports that the orchestrator has not acknowledged yet. A report is encoded once and sent again
  # byte for byte: after resend_ms, then twice as long each time up to resend_max_ms, and at once when
  # a session has been proven anew.
  #
  # The window is bounded by messages and by bytes: when either is used up the outbox is full and the
  # worker starts nothing. What is finished already is taken all the same, so `size` may pass the limit
  # by what was running. With a file (outbox_file.rb) a report is sent only after `flush` has brought it
  # to the disk; while that fails the outbox counts as full. Socket thread only.
  class Outbox
    RESEND_MAX_MS = 30_000
    BYTES_MAX = 64 * 1024 * 1024

    # +steps+: [[step_id, attempt], …] the message reports; empty for a completion. +unwritten+: it waits
    # for the disk and may not go out yet.
    Entry = Struct.new(:batch_id, :sequence, :frame, :steps, :added_ms, :level, :due_ms, :gone, :unwritten)

    attr_reader :size, :bytes

    def initialize(limit:, resend_ms: 1000, bytes_max: BYTES_MAX, resend_max_ms: RESEND_MAX_MS, file: nil)
      @limit = limit
      @bytes_max = bytes_max
      @resend_ms = resend_ms
      @resend_max_ms = resend_max_ms
      @file = file
      @unwritten = []
      @dirty = false
      @entries = {} # batch_id → {sequence → Entry}, both in order of arrival
      @size = @bytes = 0
      reset_levels
    end

    def resend_ms=(value)
      @resend_ms = [value, 1].max
    end

    # Nothing new may start.
    def full? = @size >= @limit || @bytes >= @bytes_max || (@file&.blocked? || false)

    # How many steps may run, and how many bytes their results may have. A step needs room for its own
    # report and, at worst, for its batch's completion.
    def room_steps = full? ? 0 : (@limit - @size + 1) / 2
    def room_bytes = full? ? 0 : @bytes_max - @bytes
    def empty? = @size.zero?

    # Keeps +frame+ until it is acked. The caller sends it the first time, unless it is `unwritten`: then
    # a later `flush` returns it. +session+: whom it speaks for.
    def add(batch_id, sequence, frame, steps, now, session: nil)
      entry = keep(batch_id, sequence, frame, steps, now)
      if @file
        @file.add(session, batch_id, sequence, steps, frame)
        entry.unwritten = @dirty = true
        @unwritten << entry
      else
        @levels[0] << entry
      end
      entry
    end

    # Brings to the disk what has come, and returns what may be sent now. Once in each round of the loop.
    def flush(now)
      return [] unless @dirty && @file&.sync(now, durable: !@unwritten.empty?)

      @dirty = false
      written = @unwritten.reject(&:gone)
      @unwritten = []
      written.each do |entry|
        entry.unwritten = false
        entry.due_ms = now + @resend_ms
        @levels[0] << entry
      end
    end

    # When a failed `flush` is to be tried again; nil when none failed.
    def next_flush_ms = @dirty ? @file.retry_ms : nil

    # Takes in a predecessor's report from the file; it is sent, as +frame+, with `resend_all`.
    def restore(stored, frame, now)
      @levels[0] << keep(stored.batch_id, stored.sequence, frame, stored.steps, now)
    end

    # A new session takes over: the block gives each report's new frame.
    def reframe
      each_entry do |entry|
        @bytes -= entry.frame.bytesize
        entry.frame = yield entry.frame
        @bytes += entry.frame.bytesize
      end
    end

    # Forgets a report that was acked or refused; nil when it is not (or no longer) here.
    def remove(batch_id, sequence)
      batch = @entries[batch_id]
      entry = batch&.delete(sequence)
      return nil if entry.nil?

      @entries.delete(batch_id) if batch.empty?
      entry.gone = true
      @size -= 1
      @bytes -= entry.frame.bytesize
      if @file
        @file.done(batch_id, sequence)
        @dirty = true
      end
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

    # Every entry in order of arrival, with its delay started anew. For the caller to send (the way is
    # proven), or not (somebody new listens: everything is due after the first delay).
    def resend_all(now)
      reset_levels
      each_entry.reject(&:unwritten).sort_by(&:added_ms).each do |entry|
        entry.level = 0
        entry.due_ms = now + @resend_ms
        @levels[0] << entry
      end
    end

    def close = @file&.close

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
      # A hand-back may be a moment younger than the round it is asked in.
      oldest ? [(now - oldest).round, 0].max : 0
    end

    private

    def keep(batch_id, sequence, frame, steps, now)
      entry = Entry.new(batch_id, sequence, frame, steps, now, 0, now + @resend_ms, false, false)
      (@entries[batch_id] ||= {})[sequence] = entry
      @size += 1
      @bytes += frame.bytesize
      entry
    end

    def each_entry(&)
      return enum_for(:each_entry) unless block_given?

      @entries.each_value { |batch| batch.each_value(&) }
    end

    # One queue per delay: within a queue entries are due in the order they were put there, so only
    # its head needs a look. Acked entries stay in their queue, marked, until they are its head.
    def reset_levels
      depth = 1
      depth += 1 while (@resend_ms << (depth - 1)) < @resend_max_ms
      @levels = Array.new([depth, 2].max) { [] }
    end

    def drop_gone(level)
      level.shift while level.first&.gone
    end

    def put_off(entry, now)
      entry.level = [entry.level + 1, @levels.size - 1].min
      entry.due_ms = now + [@resend_ms << entry.level, @resend_max_ms].min
      @levels[entry.level] << entry
    end
  end
end
