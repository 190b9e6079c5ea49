# frozen_string_literal: true

module TaskerWorker
  # What a hello may hold: names go into lists, logs and commands of the orchestrator.
  module Introduction
    NAME_CHARACTERS_MAX = 255
    # All namespaces and handlers together.
    NAMES_BYTES_MAX = 256 * 1024
    CONTROL = /[\u0000-\u001f\u007f-\u009f\u2028-\u202e\u2066-\u2069]/

    # Raises ConfigurationError for names that no orchestrator takes.
    def self.check(worker_id, namespaces, handlers)
      [worker_id, *namespaces, *handlers].each { |name| check_name(name) }
      size = (namespaces + handlers).sum(&:bytesize)
      return if size <= NAMES_BYTES_MAX

      raise ConfigurationError,
            "the names of #{handlers.size} handlers and #{namespaces.size} namespaces have #{size} bytes, " \
            "at most #{NAMES_BYTES_MAX} fit into a hello: serve fewer (--handlers), or with several workers"
    end

    def self.check_name(name)
      if name.length > NAME_CHARACTERS_MAX
        raise ConfigurationError,
              "a name has #{name.length} characters, at most #{NAME_CHARACTERS_MAX} are allowed: " \
              "#{name[0, 64].inspect}…"
      end
      return unless CONTROL.match?(name)

      raise ConfigurationError, "a name holds a control character: #{name[0, 64].inspect}"
    end
    private_class_method :check_name
  end
end
