# frozen_string_literal: true

module TaskerWorker
  # What runs in memory come to; see testing.
  module Testing
    SHOWN_CHARS = 200
    SHOWN_FRAMES = 3

    # The message of a report's error, with its type and code.
    def self.described(error)
      type, message, code = error.values_at('error_type', 'message', 'error_code')
      text = message.start_with?(type) ? message : "#{type}: #{message}"
      code ? "#{text} [#{code}]" : text
    end

    def self.shown(value)
      text = JSON.generate(value)
      text.length > SHOWN_CHARS ? "#{text[0, SHOWN_CHARS - 1]}…" : text
    end

    # What one attempt came to. +error+ is the wire's error object (message, error_type, error_code,
    # retryable, retry_after_seconds, backtrace) or nil.
    # The status 'snoozed' stands for a handler that raised SnoozeError: it asked to wait +wait_seconds+,
    # because of +message+.
    StepResult = Struct.new(:status, :output, :error, :attempt, :execution_ms, :wait_seconds, :message,
                            keyword_init: true) do
      def completed? = status == 'completed'

      # Whether the step would be delivered again after +wait_seconds+, at no cost.
      def snoozed? = status == SNOOZED

      # "asked to wait 30 s: the bank is closed"
      def snooze_text = "asked to wait #{wait_seconds} s#{": #{message}" unless message.empty?}"

      # Whether the orchestrator would try again (limits aside).
      def retryable? = status == 'failed' && error['retryable'] != false

      def inspect
        return "#<#{snooze_text}>" if snoozed?

        "#<#{status} #{error ? Testing.described(error) : Testing.shown(output)}>"
      end
      alias_method :to_s, :inspect
    end

    # A step of a template run: its state ('complete', 'error', or 'pending' when a parent failed), its
    # attempts, its last StepResult, all of them (+history+), the parents that a pending one waits for, and
    # how often its handler asked to wait (+snoozes+: they are in the history, and are no attempts).
    StepRun = Struct.new(:name, :state, :attempts, :result, :history, :waits_for, :snoozes,
                         keyword_init: true) do
      def output = result&.output

      # Lines for people: the outcome, why earlier attempts failed, and where the last one did.
      def explain
        number = 0
        earlier = history[0...-1].map do |one|
          next "  #{one.snooze_text}" if one.snoozed?

          "  attempt #{number += 1} failed: #{Testing.described(one.error)}"
        end
        frames = (result&.error || {}).fetch('backtrace', []).first(SHOWN_FRAMES)
        ["#{name}: #{outcome}", *earlier, *frames.map { |line| "    #{line}" }]
      end

      def outcome
        return "pending, waits for #{waits_for.join(', ')}" if state == 'pending'

        count = attempts == 1 ? '1 attempt' : "#{attempts} attempts"
        error = result.error
        error ? "#{state} after #{count}: #{Testing.described(error)}" : "#{state}, #{count}"
      end

      def inspect = "#<#{name} #{outcome}>"
      alias_method :to_s, :inspect
    end

    # A run of a whole template.
    TemplateRun = Struct.new(:name, :state, :steps, keyword_init: true) do
      def results = steps.transform_values(&:output)

      # What became of each step, and why, for the message of an expectation.
      def explain
        lines = steps.values.flat_map(&:explain).map { |line| "  #{line}" }
        ["#{name}: #{state}", *lines].join("\n")
      end

      def inspect = "#<#{name} #{state}: #{steps.values.map { |run| "#{run.name} #{run.state}" }.join(', ')}>"
      alias_method :to_s, :inspect
    end
  end
end
