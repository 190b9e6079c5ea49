# frozen_string_literal: true

module TaskerWorker
  # Wakes the socket thread out of its poll. A pipe, because any thread and any signal handler may
  # write it (a ZeroMQ socket must stay with one thread), and poll takes its descriptor as it is.
  class Waker
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
end
