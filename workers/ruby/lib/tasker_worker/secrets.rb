# frozen_string_literal: true

module TaskerWorker
  # Secret references: `{"$secret": "stripe/api_key"}` in a handler_config stands for a value that only the
  # worker knows. The database and the wire hold the reference. The value is looked up when a handler is
  # built: in the folder of --secrets-dir (one file each), then in TASKER_SECRET_STRIPE_API_KEY, then by the
  # block of `Secrets.provide`. Whatever was resolved is replaced by MASK in errors, backtraces and log lines.
  class Secrets
    REFERENCE = '$secret'
    MASK = '•••'
    NAME_CHARS = 200
    VALUE_BYTES = 64 * 1024
    # What is shorter stands in too many texts by chance.
    MASKED_CHARS_MIN = 4
    # A line of a longer value, such as a PEM block, is masked by itself as well.
    MASKED_LINE_CHARS_MIN = 16
    PART = %r{(?!\.{1,2}(?:/|\z))[A-Za-z0-9_.-]+}
    NAME = %r{\A#{PART}(?:/#{PART})*\z}

    class << self
      # Those of this process.
      def shared = @shared ||= new

      # The block gets the name of a secret and returns its value, or nil when it does not know it. It is
      # asked for what neither --secrets-dir nor the environment has, in the thread that builds the handler.
      def provide(&provider)
        shared.provider = provider
      end

      # The name in a reference. Raises PermanentError when it is none.
      def name_of(reference)
        name = reference[REFERENCE]
        return name if reference.size == 1 && name?(name)

        raise PermanentError.new("a secret reference is {\"#{REFERENCE}\": NAME} without other keys; a " \
                                 'NAME has letters, digits, _ . - and / between its parts, and at most ' \
                                 "#{NAME_CHARS} characters", error_code: 'bad_secret_reference')
      end

      # Every secret reference in a configuration, whatever it names.
      def references(config)
        case config
        when Hash then config.key?(REFERENCE) ? [config] : config.values.flat_map { |item| references(item) }
        when Array then config.flat_map { |item| references(item) }
        else []
        end
      end

      def name?(name) = name.is_a?(String) && name.length <= NAME_CHARS && NAME.match?(name)

      # TASKER_SECRET_STRIPE_API_KEY for `stripe/api_key`.
      def variable_of(name) = "TASKER_SECRET_#{name.upcase.gsub(/[^A-Z0-9]/, '_')}"
    end

    attr_accessor :directory, :provider

    def initialize(directory = nil, env: ENV)
      @directory = directory
      @env = env
      @provider = nil
      # The longest first, so that no rest of one remains.
      @shown = []
      @mutex = Mutex.new
    end

    # The configuration with the values in place of their references, as a frozen copy. Raises SecretError
    # when one is not known here, PermanentError when a reference is none.
    def resolved(config)
      case config
      when Hash
        return value(Secrets.name_of(config)) if config.key?(REFERENCE)

        config.transform_values { |item| resolved(item) }.freeze
      when Array then config.map { |item| resolved(item) }.freeze
      else config
      end
    end

    # The secret of that name. Raises SecretError when this worker does not know it.
    def value(name)
      found = presence(of_file(name)) || presence(@env[Secrets.variable_of(name)]) || presence(provided(name))
      raise SecretError, "there is no secret #{name}: #{advice(name)}" if found.nil?

      hide(found)
      found
    end

    # The text without any value that was resolved.
    def mask(text)
      @shown.empty? ? text : @shown.reduce(text) { |masked, value| masked.gsub(value) { MASK } }
    end

    # The same for all texts in a JSON value.
    def masked(value)
      return value if @shown.empty?

      case value
      when String then mask(value)
      when Hash then value.to_h { |key, item| [mask(key), masked(item)] }
      when Array then value.map { |item| masked(item) }
      else value
      end
    end

    private

    def of_file(name)
      return nil if @directory.nil?

      path = File.join(@directory, *name.split('/'))
      data = File.open(path, 'rb') { |file| file.read(VALUE_BYTES + 1) }.to_s.force_encoding(Encoding::UTF_8)
      unusable(name, path, "it has more than #{VALUE_BYTES} bytes") if data.bytesize > VALUE_BYTES
      unusable(name, path, 'it is no UTF-8') unless data.valid_encoding?

      # Editors and `echo` end a file with a line end that is no part of it.
      data.delete_suffix("\n").delete_suffix("\r")
    rescue Errno::ENOENT, Errno::ENOTDIR
      nil
    rescue SystemCallError => e
      unusable(name, path, e.class)
    end

    def unusable(name, path, reason)
      raise SecretError, "the secret #{name} cannot be read: #{path}: #{reason}"
    end

    def provided(name) = @provider&.call(name)&.to_s

    def advice(name)
      variable = "set #{Secrets.variable_of(name)} in the environment of the worker"
      return "#{variable}, or start it with --secrets-dir" if @directory.nil?

      "write it into #{File.join(@directory, name)}, or #{variable}"
    end

    def hide(value)
      lines = value.lines.map(&:strip).select { |line| line.length >= MASKED_LINE_CHARS_MIN }
      found = [value, value.inspect[1...-1], *lines].select { |one| one.length >= MASKED_CHARS_MIN }
      @mutex.synchronize { @shown = (@shown | found).sort_by { |one| -one.length }.freeze }
    end

    def presence(text)
      text unless text.nil? || text.empty?
    end
  end
end
