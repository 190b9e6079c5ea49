# frozen_string_literal: true

module TaskerWorker
  # Root of every error this library raises or offers to handlers.
  class Error < StandardError; end

  # Bad option, configuration file, template or handler class: stops the start (exit code 2).
  class ConfigurationError < Error; end

  # What a handler raises on purpose. +context+ is a JSON-able Hash stored beside the error.
  class StepError < Error
    attr_reader :context

    def initialize(message = nil, context: nil)
      super(message)
      @context = context || {}
    end

    # Wire fields this error adds to the report; see ErrorReport.
    def wire_fields
      {}
    end
  end

  # Not now: the step is delivered again after +seconds+ (fractions allowed), and no attempt is used up. It
  # is no failure, so the step's history shows a wait. The template's +max_snoozes+ bounds how often; the next
  # one ends the step in error. +message+ is for people who ask why the step waits.
  class SnoozeError < Error
    # About 30 000 years: what is longer is no delay.
    SECONDS_MAX = 1e12

    attr_reader :seconds

    def initialize(seconds, message = '')
      unless seconds.is_a?(Numeric) && seconds.real? && (0..SECONDS_MAX).cover?(seconds.to_f)
        raise ArgumentError, "seconds must be a number >= 0, got #{seconds.inspect}"
      end

      super(message)
      # A Rational or a BigDecimal would become text on the wire.
      @seconds = seconds.is_a?(Integer) ? seconds : seconds.to_f
    end
  end

  # Trying again may help: the attempt is reported as +failed+. +retry_after+ (seconds, fractions
  # allowed) asks for that delay instead of the template's backoff.
  class RetryableError < StepError
    attr_reader :retry_after

    def initialize(message = nil, retry_after: nil, context: nil)
      unless retry_after.nil? || (retry_after.is_a?(Numeric) && retry_after.to_f.finite? && retry_after >= 0)
        raise ArgumentError, "retry_after must be a number of seconds >= 0, got #{retry_after.inspect}"
      end

      super(message, context: context)
      @retry_after = retry_after
    end

    def wire_fields
      { 'retryable' => true, 'retry_after_seconds' => json_number(retry_after) }.compact
    end

    private

    # A Rational or a BigDecimal would become text on the wire.
    def json_number(number)
      number.nil? || number.is_a?(Integer) ? number : number.to_f
    end
  end

  # A secret that the step's handler_config names is not known to this worker (code +unknown_secret+). Another
  # worker may know it, and an operator can add it, so the step is tried again.
  class SecretError < RetryableError
    def wire_fields = super.merge('error_code' => 'unknown_secret')
  end

  # The work took too long (raised by a handler, or reported by the worker when timeout_ms is over).
  class TimeoutError < RetryableError
    attr_reader :timeout_duration

    def initialize(message = nil, timeout_duration: nil, retry_after: nil, context: nil)
      super(message, retry_after: retry_after, context: context)
      @timeout_duration = timeout_duration
    end
  end

  # A remote service could not be reached or answered +status_code+.
  class NetworkError < RetryableError
    attr_reader :status_code

    def initialize(message = nil, status_code: nil, retry_after: nil, context: nil)
      super(message, retry_after: retry_after, context: context)
      @status_code = status_code
    end

    def wire_fields
      status_code ? super.merge('error_code' => "HTTP_#{status_code}") : super
    end
  end

  # Trying again cannot help: the attempt is reported as +error+ and the step ends there.
  class PermanentError < StepError
    attr_reader :error_code

    def initialize(message = nil, error_code: nil, context: nil)
      super(message, context: context)
      @error_code = error_code
    end

    def wire_fields
      { 'retryable' => false, 'error_code' => error_code&.to_s }.compact
    end
  end

  # The task's data is wrong; +field+ names where.
  class ValidationError < PermanentError
    attr_reader :field

    def initialize(message = nil, field: nil, error_code: 'validation_error', context: nil)
      context = { 'field' => field.to_s }.merge(context || {}) if field
      super(message, error_code: error_code, context: context)
      @field = field
    end
  end

  # Something the step needs does not exist; +resource_type+ says what kind of thing.
  class NotFoundError < PermanentError
    attr_reader :resource_type

    def initialize(message = nil, resource_type: nil, error_code: 'not_found', context: nil)
      context = { 'resource_type' => resource_type.to_s }.merge(context || {}) if resource_type
      super(message, error_code: error_code, context: context)
      @resource_type = resource_type
    end
  end
end
