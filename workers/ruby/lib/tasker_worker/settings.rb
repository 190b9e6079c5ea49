# frozen_string_literal: true

require 'psych'
require 'socket'

module TaskerWorker
  # Everything the command line, the environment and the configuration file say, checked.
  # Order: option, TASKER_WORKER_…, TASKER_…, file, default.
  class Settings
    DEFAULTS = {
      config: nil, templates: 'config/tasks', requires: [], worker_id: nil, capacity: 10, prefetch: 2,
      namespaces: [], handlers: nil, steps_endpoints: nil, results_endpoints: nil, log_level: 'info',
      outbox_limit: 10_000, outbox_bytes: 64 * 1024 * 1024, outbox_path: nil, drain_timeout: 30.0,
      silence_ms: 5000, reconnect_max_ms: 2000, resend_max_ms: 30_000
    }.freeze
    DEFAULT_CONFIG = 'config/zeromq.yaml'
    DEFAULT_STEPS = 'tcp://127.0.0.1:5555'
    DEFAULT_RESULTS = 'tcp://127.0.0.1:5556'
    # What the file says workers connect to, else what it says the orchestrator binds.
    STEPS_KEYS = %w[handler_step_subscriber step_publisher rust_step_publisher].freeze
    RESULTS_KEYS = %w[handler_result_publisher result_subscriber rust_result_subscriber].freeze
    ENDPOINT = %r{\A(?:tcp://[^\s/]+:\d{1,5}|ipc://\S+)\z}
    # Inventories list every unacked step and must fit into one message: hence the outbox limit.
    # Its bytes hold at least one result of the largest size. A heartbeat that is late is no silence.
    LIMITS = { capacity: 1..1000, prefetch: 1..100, outbox_limit: 1..10_000,
               outbox_bytes: (1024 * 1024)..(2**40), silence_ms: 500..3_600_000,
               reconnect_max_ms: 100..60_000, resend_max_ms: 100..3_600_000 }.freeze

    attr_reader :templates, :requires, :worker_id, :capacity, :prefetch, :namespaces, :handlers,
                :steps_endpoints, :results_endpoints, :log_level, :outbox_limit, :drain_timeout,
                :outbox_bytes, :outbox_path, :silence_ms, :reconnect_max_ms, :resend_max_ms, :environment

    # +options+: what the command line gave (keys as in DEFAULTS). Raises ConfigurationError.
    def initialize(options = {}, env: ENV)
      values = DEFAULTS.merge(options)
      file = read_file(values[:config])
      assign(values)
      @environment = presence(env['TASKER_ENV'])
      @steps_endpoints = endpoints('steps', values[:steps_endpoints], env, first_of(file, STEPS_KEYS))
      @results_endpoints = endpoints('results', values[:results_endpoints], env,
                                     first_of(file, RESULTS_KEYS))
      check
      freeze
    end

    # In flight at most: running and waiting steps together.
    def in_flight_max = capacity * prefetch

    private

    def assign(values)
      @templates = values[:templates]
      @requires = values[:requires].dup.freeze
      @worker_id = values[:worker_id] || "ruby@#{Socket.gethostname}"
      @capacity = values[:capacity]
      @prefetch = values[:prefetch]
      @namespaces = values[:namespaces].dup.freeze
      @handlers = values[:handlers]&.dup&.freeze
      @log_level = values[:log_level]
      @outbox_limit = values[:outbox_limit]
      @drain_timeout = values[:drain_timeout]
      @silence_ms = values[:silence_ms]
      @outbox_bytes = values[:outbox_bytes]
      @outbox_path = values[:outbox_path]
      @reconnect_max_ms = values[:reconnect_max_ms]
      @resend_max_ms = values[:resend_max_ms]
    end

    def check
      LIMITS.each do |name, range|
        value = public_send(name)
        next if value.is_a?(Integer) && range.cover?(value)

        refuse("--#{name.to_s.tr('_', '-')}", "must be #{range.begin} to #{range.end}, got #{value.inspect}")
      end
      refuse('--worker-id', 'must not be empty') if worker_id.empty?
      refuse('--outbox', 'must name a file') if outbox_path == ''
      unless drain_timeout.is_a?(Numeric) && drain_timeout >= 0
        refuse('--drain-timeout',
               'must be 0 seconds or more')
      end
      return if Log::LEVELS.key?(log_level)

      refuse('--log-level', "must be one of #{Log::LEVELS.keys.join(', ')}, got #{log_level}")
    end

    def read_file(path)
      path ||= DEFAULT_CONFIG if File.exist?(DEFAULT_CONFIG)
      return {} if path.nil?

      data = Psych.safe_load(File.read(path, encoding: Encoding::UTF_8), filename: path, aliases: true) || {}
      refuse(path, 'must hold a map') unless data.is_a?(Hash)
      section = data['step_execution'] || {}
      refuse(path, 'step_execution must be a map') unless section.is_a?(Hash)
      section
    rescue SystemCallError => e
      raise ConfigurationError, "--config: cannot read #{path}: #{e.message}"
    rescue Psych::Exception => e
      raise ConfigurationError, "--config: #{path} is not valid YAML: #{e.message}"
    end

    def first_of(file, keys)
      file.values_at(*keys).find { |value| !Array(value).empty? }
    end

    def endpoints(kind, option, env, from_file)
      default = kind == 'steps' ? DEFAULT_STEPS : DEFAULT_RESULTS
      names = ["TASKER_WORKER_#{kind.upcase}_ENDPOINT", "TASKER_#{kind.upcase}_ENDPOINT"]
      variable = names.find { |name| presence(env[name]) }
      source, value = if option then ["--#{kind}-endpoint", option]
                      elsif variable then [variable, env[variable]]
                      else
                        ['--config', from_file || default]
                      end
      list = Array(value).flat_map { |item| item.to_s.split(',') }.map { |item| connectable(item.strip) }
      refuse(source, "no #{kind} endpoint given") if list.empty?
      list.each do |item|
        next if ENDPOINT.match?(item)

        refuse(source, "#{item.inspect} is not an endpoint (tcp://HOST:PORT or ipc://PATH)")
      end
      list.uniq.freeze
    end

    # `*` is what a server binds; a client means this machine by it.
    def connectable(endpoint)
      endpoint.sub(%r{\Atcp://\*:}, 'tcp://127.0.0.1:')
    end

    def presence(text)
      text unless text.nil? || text.empty?
    end

    def refuse(source, reason)
      raise ConfigurationError, "#{source}: #{reason}"
    end
  end
end
