# frozen_string_literal: true

module TaskerWorker
  # Whether an attempt that raised may be tried again. One table, the same in every SDK (workers/README.md).
  #
  # An error of this library says so itself. For every other exception the handler's own lists come first,
  # then TABLE, and in both the class that stands nearest in the exception's ancestry. All others are tried
  # again.
  module Verdict
    FAILED = 'failed'
    ERROR = 'error'

    # `error` stands beside what the same code on the same data raises again. A key that is missing in
    # received data may be there next time.
    TABLE = {
      RetryableError => FAILED, TimeoutError => FAILED, NetworkError => FAILED,
      PermanentError => ERROR, ValidationError => ERROR, NotFoundError => ERROR,
      TypeError => ERROR, FrozenError => ERROR, ArgumentError => ERROR, NameError => ERROR,
      NoMethodError => ERROR, ScriptError => ERROR, NotImplementedError => ERROR, SyntaxError => ERROR,
      LoadError => ERROR, LocalJumpError => ERROR, NoMatchingPatternError => ERROR,
      NoMatchingPatternKeyError => ERROR,
      KeyError => FAILED, IndexError => FAILED, JSON::ParserError => FAILED, EncodingError => FAILED,
      ZeroDivisionError => FAILED, FloatDomainError => FAILED, SystemCallError => FAILED,
      SystemExit => FAILED, SystemStackError => FAILED
    }.freeze

    module_function

    # [whether the attempt may be tried again, the error code of that verdict or nil]. +handler+: its object,
    # or its class while there is none. An error of this library brings its own code (`wire_fields`).
    def of(exception, handler = nil)
      return [!exception.is_a?(PermanentError), nil] if exception.is_a?(StepError)

      by_lists(exception.class, handler) || by_table(exception.class)
    end

    # `retry_on` or `fail_on` of a handler. Raises ConfigurationError when it is no list of names and classes.
    def names_of(handler, list)
      owner = [handler, handler.class].find { |one| one.respond_to?(list) }
      found = owner&.public_send(list) || []
      return found if found.is_a?(Array) && found.all? { |entry| entry.is_a?(String) || exception?(entry) }

      raise ConfigurationError, "#{list} must be a list of exception classes or their names"
    end

    def by_lists(klass, handler)
      fail_on = names_of(handler, :fail_on)
      retry_on = names_of(handler, :retry_on)
      return nil if fail_on.empty? && retry_on.empty?

      klass.ancestors.each do |ancestor|
        return [false, 'fail_on'] if named?(ancestor, fail_on)
        return [true, nil] if named?(ancestor, retry_on)
      end
      nil
    end

    def by_table(klass)
      nearest = klass.ancestors.find { |ancestor| TABLE.key?(ancestor) }
      TABLE[nearest] == ERROR ? [false, 'programming_error'] : [true, nil]
    end

    def named?(ancestor, entries) = entries.include?(ancestor) || entries.include?(ancestor.name)

    def exception?(entry) = entry.is_a?(Class) && entry <= Exception
  end
end
