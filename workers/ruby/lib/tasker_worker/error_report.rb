# frozen_string_literal: true

module TaskerWorker
  # Turns an exception into what goes over the wire: [status, error object]. One place for the rule
  #   RetryableError, TimeoutError, NetworkError, any unlisted exception → failed, retryable
  #   PermanentError, ValidationError, NotFoundError                     → error
  #   programming errors (PROGRAMMING_ERRORS)                            → error
  module ErrorReport
    # Errors that the same input will raise again: a second attempt only costs time.
    # NoMethodError is a NameError; FrozenError is what changing a task's context raises.
    PROGRAMMING_ERRORS = [ArgumentError, TypeError, NameError, FrozenError, LocalJumpError,
                          NoMatchingPatternError, NotImplementedError, SyntaxError].freeze
    BACKTRACE_LINES = 20
    MESSAGE_CHARS = 4000
    CONTEXT_BYTES = 16_384

    module_function

    def from(exception)
      error = { 'message' => text(message_of(exception)), 'error_type' => type_name(exception.class) }
      status = classify(exception, error)
      backtrace = Array(exception.backtrace).first(BACKTRACE_LINES)
      error['backtrace'] = backtrace.map { |line| text(line) } unless backtrace.empty?
      add_context(exception, error)
      [status, error]
    end

    # Ruby appends the source line with a marker to the message of a NameError, after an empty line.
    def message_of(exception)
      message = exception.message
      exception.is_a?(NameError) ? message.to_s.split("\n\n", 2).first.to_s : message
    end

    # The same shape for failures that no exception describes.
    def build(message, error_type:, retryable:, error_code: nil, **extra)
      { 'message' => text(message), 'error_type' => error_type, 'error_code' => error_code,
        'retryable' => retryable }.merge(extra.transform_keys(&:to_s)).compact
    end

    def classify(exception, error)
      case exception
      when PermanentError
        error.update(exception.wire_fields)
        'error'
      when RetryableError
        error.update(exception.wire_fields)
        'failed'
      when *PROGRAMMING_ERRORS
        error.update('retryable' => false, 'error_code' => 'programming_error')
        'error'
      else
        error['retryable'] = true
        'failed'
      end
    end

    # Names of this library's errors travel without their module, as every SDK sends them.
    def type_name(klass)
      (klass.name || klass.to_s).delete_prefix('TaskerWorker::')
    end

    def text(value)
      clean = value.to_s.dup
      clean.force_encoding(Encoding::UTF_8) if clean.encoding == Encoding::BINARY
      clean = clean.encode(Encoding::UTF_8, invalid: :replace, undef: :replace).scrub
      clean.length > MESSAGE_CHARS ? "#{clean[0, MESSAGE_CHARS]}…" : clean
    end

    # The context helps people who read the stored error; an unusable one must not hide the error.
    def add_context(exception, error)
      return unless exception.is_a?(StepError) && !exception.context.empty?

      json = Output.encode(exception.context)
      error['context'] = JSON.parse(json) if json.bytesize <= CONTEXT_BYTES
    rescue Output::Unserialisable => e
      error['context'] = { 'dropped' => e.message }
    end
  end
end
