# frozen_string_literal: true

require 'concurrent'

module TaskerWorker
  # Runs jobs on `capacity` threads of a Concurrent::FixedThreadPool. Each thread is one long task that
  # takes jobs from a shared queue, so a step costs no thread, no task object and one lock.
  #
  # At most one idle thread is being woken at a time, and a thread that takes a job passes the wake-up
  # on while more jobs wait. Short handlers are therefore run by one thread in a row, without a thread
  # switch for each, and blocking ones spread over all threads at once.
  class HandlerPool
    def initialize(capacity:, waker:, clock: Clock, &work)
      @capacity = capacity
      @waker = waker
      @clock = clock
      @work = work
      @mutex = Mutex.new
      @ready = ConditionVariable.new
      @queue = []
      @slots = Array.new(capacity)
      @finished = []
      @busy = @idle = 0
      @room = @room_bytes = Float::INFINITY
      @waiting_bytes = @taken_bytes = @taken = 0
      @waking = @closed = false
      @threads = Concurrent::FixedThreadPool.new(capacity, max_queue: 0)
      capacity.times { |slot| @threads.post { run(slot) } }
    end

    # Puts jobs in line.
    def submit(jobs)
      @mutex.synchronize do
        @queue.concat(jobs)
        wake_one
      end
    end

    # Takes back queued jobs for which the block is true; a job that is returned will never start.
    def withdraw(&)
      @mutex.synchronize do
        taken, @queue = @queue.partition(&)
        taken
      end
    end

    # [[job, outcome], …] since the last call. An outcome of nil says that the job was not started
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

    # The jobs whose handler runs now, timed-out ones included.
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

    # Lets the threads end after their current job; true when all ended within +limit_s+ seconds.
    def close(limit_s)
      @mutex.synchronize do
        @closed = true
        @ready.broadcast
      end
      @threads.shutdown
      @threads.wait_for_termination(limit_s)
    end

    private

    def run(slot)
      job = @mutex.synchronize { take(slot) }
      while job
        outcome = @work.call(job)
        job = @mutex.synchronize do
          finish(slot, job, outcome)
          take(slot)
        end
      end
    end

    def take(slot)
      loop do
        while @queue.empty? || full?
          return nil if @closed

          @idle += 1
          @ready.wait(@mutex)
          @idle -= 1
          @waking = false
        end
        return nil if @closed

        job = @queue.shift
        return start(slot, job) unless window_missed?(job)

        hand_over(job, nil)
      end
    end

    # A claimed job may start only within its window, whatever held this process up in between.
    def window_missed?(job)
      job.start_by_ms && @clock.now_ms > job.start_by_ms
    end

    def start(slot, job)
      job.started_ms = @clock.now_ms
      job.state = :running
      @slots[slot] = job
      @busy += 1
      wake_one
      job
    end

    def finish(slot, job, outcome)
      job.ended = true
      @waiting_bytes += outcome.output_json.bytesize if outcome.is_a?(Outcome) && outcome.output_json
      @slots[slot] = nil
      @busy -= 1
      hand_over(job, outcome)
    end

    def hand_over(job, outcome)
      @finished << [job, outcome]
      @waker.wake
    end

    def wake_one
      return if @waking || @idle.zero? || @queue.empty? || full?

      @waking = true
      @ready.signal
    end

    def full? = @busy + @finished.size + @taken >= @room || @waiting_bytes >= @room_bytes
  end
end
