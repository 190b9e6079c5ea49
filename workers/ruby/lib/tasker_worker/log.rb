# frozen_string_literal: true

module TaskerWorker
  # Structured log: one line of key=value pairs (logfmt) per event on stderr, for example
  #   time=2026-01-02T03:04:05.000000Z level=info msg="step failed" worker_id=w1 session=00ff12ab34cd56ef
  #   task_id=7 step_id=9 attempt=2 …
  # (in one line). Events and fields have the same names in every SDK. Values with spaces, quotes or equals
  # signs are JSON-quoted. A line is written by one call.
  class Log
    LEVELS = { 'debug' => 0, 'info' => 1, 'warn' => 2, 'error' => 3 }.freeze
    PLAIN = %r{\A[\w.:/@%+*,\-]+\z}
    # What JSON lets stand, although a terminal obeys it: DEL, C1 controls, marks of direction.
    OBEYED = /[\u007f-\u009f\u200e\u200f\u2028-\u202e\u2066-\u2069]/

    attr_reader :level

    def initialize(level: 'info', io: $stderr, fields: {})
      @level = level
      @threshold = LEVELS.fetch(level)
      @io = io
      @fields = fields
      io.log = self if io.is_a?(LogWriter)
    end

    # A log that adds +fields+ to every line.
    def with(**fields)
      Log.new(level: @level, io: @io, fields: @fields.merge(fields))
    end

    # From now on every line of this log has these fields.
    def set(**fields)
      @fields = @fields.merge(fields)
    end

    def debug? = @threshold.zero?

    def debug(message, **fields) = write('debug', message, fields)
    def info(message, **fields) = write('info', message, fields)
    def warn(message, **fields) = write('warn', message, fields)
    def error(message, **fields) = write('error', message, fields)

    private

    def write(level, message, fields)
      return if LEVELS.fetch(level) < @threshold

      line = +"time=#{Clock.timestamp} level=#{level} msg=#{quote(message)}"
      @fields.merge(fields).each { |key, value| line << " #{key}=#{quote(value)}" unless value.nil? }
      @io.write(line << "\n")
    rescue SystemCallError, IOError
      # A full disk or a closed stderr must not stop the worker; there is nowhere left to report it.
      nil
    end

    def quote(value)
      text = Secrets.shared.mask(value.to_s.dup.force_encoding(Encoding::UTF_8).scrub)
      return text if PLAIN.match?(text)

      JSON.generate(text).gsub(OBEYED) { |letter| format('\\u%04x', letter.ord) }
    end
  end

  # Takes lines at once and writes them in a thread of its own: a pipe that nobody reads must not stop the
  # socket thread, and with it the heartbeats. When too much waits, lines are dropped and counted.
  class LogWriter
    LINES_MAX = 10_000
    BYTES_MAX = 8 * 1024 * 1024
    # How long the end of the process waits for lines that nobody reads.
    CLOSE_S = 2.0

    # Who says that lines were dropped: the last Log that was made for it.
    attr_writer :log

    def initialize(io, lines_max: LINES_MAX, bytes_max: BYTES_MAX)
      @io = io
      @lines_max = lines_max
      @bytes_max = bytes_max
      @queue = Queue.new
      @mutex = Mutex.new
      @written = ConditionVariable.new
      @lines = @bytes = @dropped = 0
    end

    # Never waits for the reader of the log.
    def write(line)
      @mutex.synchronize do
        if room?(line.bytesize) || Thread.current.equal?(@thread)
          @lines += 1
          @bytes += line.bytesize
          @queue << line
          @thread = Thread.new { work } unless @thread&.alive?
        else
          @dropped += 1
        end
      end
    end

    # Waits until all lines are written, at most +limit_s+ seconds.
    def close(limit_s = CLOSE_S)
      deadline = Clock.now_ms + (limit_s * 1000)
      @mutex.synchronize do
        while @lines.positive? && (left_ms = deadline - Clock.now_ms).positive?
          @written.wait(@mutex, left_ms / 1000.0)
        end
      end
    end

    private

    # One line has room however long it is.
    def room?(bytes)
      @lines.zero? || (@lines < @lines_max && @bytes + bytes <= @bytes_max)
    end

    def work
      loop do
        line = @queue.pop
        put(line)
        dropped = @mutex.synchronize { count(line) }
        @log.warn('log lines dropped', lines: dropped) if dropped.positive?
      end
    end

    # A full disk or a closed stderr must not stop the worker; there is nowhere left to report it.
    def put(line)
      @io.write(line)
    rescue SystemCallError, IOError
      nil
    end

    # Returns how many lines were dropped since the last one.
    def count(line)
      @lines -= 1
      @bytes -= line.bytesize
      @written.signal if @lines.zero?
      dropped = @dropped
      @dropped = 0
      dropped
    end
  end
end
