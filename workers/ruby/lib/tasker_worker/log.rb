# frozen_string_literal: true

module TaskerWorker
  # Structured log: one line of key=value pairs (logfmt) per event on stderr, for example
  #   time=2026-01-02T03:04:05.000000Z level=info msg="step failed" worker=w1 task_id=7 step_id=9 attempt=2
  # Values with spaces, quotes or equals signs are JSON-quoted. A line is written by one call.
  class Log
    LEVELS = { 'debug' => 0, 'info' => 1, 'warn' => 2, 'error' => 3 }.freeze
    PLAIN = %r{\A[\w.:/@%+*,\-]+\z}

    attr_reader :level

    def initialize(level: 'info', io: $stderr, fields: {})
      @level = level
      @threshold = LEVELS.fetch(level)
      @io = io
      @fields = fields
    end

    # A log that adds +fields+ to every line.
    def with(**fields)
      Log.new(level: @level, io: @io, fields: @fields.merge(fields))
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
      # A full disk or a closed stderr must not stop the worker; there is nowhere left to say so.
      begin
        @io.write(line << "\n")
      rescue SystemCallError, IOError
        nil
      end
    end

    def quote(value)
      text = value.to_s.dup.force_encoding(Encoding::UTF_8).scrub
      PLAIN.match?(text) ? text : JSON.generate(text)
    end
  end
end
