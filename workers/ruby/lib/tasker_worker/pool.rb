# frozen_string_literal: true

require 'concurrent'

module TaskerWorker
  # Wakes the socket thread out of its poll. A pipe, because any thread and any signal handler may
  # write it (a ZeroMQ socket must stay with one thread), and poll takes its descriptor as it is.
  class WakeUp
    def initialize
      @reader, @writer = IO.pipe
      @asleep = false
      @written = false
    end

    def fileno = @reader.fileno

    # The socket thread is about to poll: from here on `wake` writes.
    def arm
      @asleep = true
    end

    # The socket thread is awake. Clearing the marks before work is taken means that whoever adds
    # work later writes again; at worst there is one wake-up too many.
    def disarm
      @asleep = false
      return unless @written

      @written = false
      begin
        @reader.read_nonblock(64)
      rescue IO::WaitReadable
        nil
      end
    end

    # Safe in threads and signal handlers. Writes once per poll, and not while the thread is awake:
    # it looks for work again before it polls.
    def wake
      return if !@asleep || @written

      @written = true
      @writer.write_nonblock('!')
    rescue IO::WaitWritable, IOError
      # A full pipe wakes as well; a closed one means that the loop is over.
      nil
    end

    def close
      @writer.close
      @reader.close
    end
  end

  # Runs attempts on `capacity` threads of a Concurrent::CachedThreadPool. Each thread is one long task that
  # takes attempts from a shared queue, so a step costs no thread, no task object and one lock. A handler may
  # end its thread (Thread.exit): then its attempt ends as lost and another thread takes over the slot.
  #
  # At most one idle thread is being woken at a time, and a thread that takes an attempt passes the wake-up
  # on while more attempts wait. Short handlers are therefore run by one thread in a row, without a thread
  # switch for each, and blocking ones spread over all threads at once.
  class Pool
    # +lost+: called with an attempt whose thread ended inside the block; gives its outcome.
    def initialize(capacity:, wake_up:, lost: HandlerRun.method(:lost), clock: Clock, &work)
      @capacity = capacity
      @wake_up = wake_up
      @clock = clock
      @work = work
      @lost = lost
      @mutex = Mutex.new
      @ready = ConditionVariable.new
      @all_ended = ConditionVariable.new
      @live = capacity
      @queue = []
      @slots = Array.new(capacity)
      @finished = []
      @busy = @idle = 0
      @room = @room_bytes = Float::INFINITY
      @waiting_bytes = @taken_bytes = @taken = 0
      @waking = @closed = false
      @threads = Concurrent::CachedThreadPool.new
      capacity.times { |slot| @threads.post { run(slot) } }
    end

    # Puts attempts in line.
    def submit(attempts)
      @mutex.synchronize do
        @queue.concat(attempts)
        wake_one
      end
    end

    # Takes back queued attempts for which the block is true; an attempt that is returned will never start.
    def withdraw(&)
      @mutex.synchronize do
        taken, @queue = @queue.partition(&)
        taken
      end
    end

    # [[attempt, outcome], …] since the last call. An outcome of nil says that the attempt was not started
    # because its start window was over.
    def take_finished
      return @finished if @finished.empty?

      @mutex.synchronize do
        result = @finished
        @finished = []
        @taken += result.size
        @taken_bytes = @waiting_bytes
        result
      end
    end

    def finished? = !@finished.empty?

    # The attempts whose handler runs now, timed-out ones included.
    def running = @slots.compact

    def running_count = @busy
    def queued_count = @queue.size
    def idle? = @busy.zero? && @queue.empty? && @finished.empty?

    # How many more steps, and how many bytes of results, the outbox takes, now that what was taken with
    # `take_finished` is in it. While that is used up by what runs and what waits to be taken, nothing
    # new starts.
    def room(steps, bytes)
      return if steps == @room && bytes == @room_bytes && @taken.zero?

      @mutex.synchronize do
        @room = steps
        @room_bytes = bytes
        @waiting_bytes -= @taken_bytes
        @taken = @taken_bytes = 0
        wake_one
      end
    end

    # Lets the threads end after their current attempt; true when all ended within +limit_s+ seconds.
    def close(limit_s)
      @mutex.synchronize do
        @closed = true
        @ready.broadcast
        @threads.shutdown
        deadline = @clock.now_ms + (limit_s * 1000)
        while @live.positive? && (left_ms = deadline - @clock.now_ms).positive?
          @all_ended.wait(@mutex, left_ms / 1000.0)
        end
        @live.zero?
      end
    end

    private

    def run(slot)
      in_order = false
      attempt = @mutex.synchronize { take(slot) }
      while attempt
        outcome = @work.call(attempt)
        attempt = @mutex.synchronize do
          finish(slot, attempt, outcome)
          take(slot)
        end
      end
      in_order = true
    ensure
      @mutex.synchronize { thread_ended(slot, in_order) }
    end

    # +in_order+: since the pool closes. Otherwise a handler, or somebody else, ended the thread.
    def thread_ended(slot, in_order)
      attempt = @slots[slot]
      finish(slot, attempt, @lost.call(attempt)) if attempt
      return @threads.post { run(slot) } unless in_order || @closed

      @live -= 1
      @all_ended.signal
    end

    def take(slot)
      loop do
        while @queue.empty? || full?
          return nil if @closed

          wait_for_work
        end
        return nil if @closed

        attempt = @queue.shift
        return start(slot, attempt) unless window_missed?(attempt)

        hand_over(attempt, nil)
      end
    end

    def wait_for_work
      @idle += 1
      @ready.wait(@mutex)
    ensure
      @idle -= 1
      @waking = false
    end

    # A claimed attempt may start only within its window, whatever held this process up in between.
    def window_missed?(attempt)
      attempt.start_by_ms && @clock.now_ms > attempt.start_by_ms
    end

    def start(slot, attempt)
      attempt.started_ms = @clock.now_ms
      attempt.state = :running
      @slots[slot] = attempt
      @busy += 1
      wake_one
      attempt
    end

    def finish(slot, attempt, outcome)
      attempt.ended = true
      @waiting_bytes += outcome.output_json.bytesize if outcome.is_a?(Outcome) && outcome.output_json
      @slots[slot] = nil
      @busy -= 1
      hand_over(attempt, outcome)
    end

    def hand_over(attempt, outcome)
      @finished << [attempt, outcome]
      @wake_up.wake
    end

    def wake_one
      return if @waking || @idle.zero? || @queue.empty? || full?

      @waking = true
      @ready.signal
    end

    def full? = @busy + @finished.size + @taken >= @room || @waiting_bytes >= @room_bytes
  end
end
