# frozen_string_literal: true

module TaskerWorker
  # Time sources. Durations use the boot-time clock, which also runs while the machine is suspended:
  # a start window or a lease must not look shorter than it was.
  module Clock
    module_function

    # Milliseconds since boot, as Float.
    def now_ms
      Process.clock_gettime(Process::CLOCK_BOOTTIME, :float_millisecond)
    end

    # The current wall clock as RFC 3339 UTC text with microseconds.
    def timestamp
      micros = Process.clock_gettime(Process::CLOCK_REALTIME, :microsecond)
      second, fraction = micros.divmod(1_000_000)
      format('%<prefix>s.%<fraction>06dZ', prefix: second_prefix(second), fraction: fraction)
    end

    # Formatting a date costs more than the rest of a report, so the text of the current second is
    # kept; the pair is replaced as one object, which keeps readers in other threads consistent.
    def second_prefix(second)
      cached = @cached
      return cached[1] if cached && cached[0] == second

      text = Time.at(second).utc.strftime('%Y-%m-%dT%H:%M:%S')
      @cached = [second, text].freeze
      text
    end
  end
end
