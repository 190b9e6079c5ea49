# frozen_string_literal: true

require 'socket'
require_relative 'dev'

module TaskerWorker
  # Every setting of a worker, checked. An option wins over TASKER_WORKER_…, that over TASKER_…, that over
  # the file of --config, that over the nearest running `tasker dev`, that over config/zeromq.yaml, and that
  # over the default.
  class Settings
    DEFAULTS = {
      config: nil, templates: nil, strict: false, requires: [], worker_id: nil, capacity: 10, prefetch: 2,
      namespaces: [], handlers: nil, steps_endpoints: nil, results_endpoints: nil, log_level: 'info',
      outbox_limit: 10_000, outbox_bytes: 64 * 1024 * 1024, outbox_path: nil, drain_timeout: 30.0,
      secrets_dir: nil,
      silence_ms: 5000, reconnect_max_ms: 2000, resend_max_ms: 30_000
    }.freeze
    DEFAULT_CONFIG = 'config/zeromq.yaml'
    DEFAULT_STEPS = 'tcp://127.0.0.1:5555'
    DEFAULT_RESULTS = 'tcp://127.0.0.1:5556'
    # The file's keys for where workers connect, then those for where the orchestrator binds.
    STEPS_KEYS = %w[handler_step_subscriber step_publisher rust_step_publisher].freeze
    RESULTS_KEYS = %w[handler_result_publisher result_subscriber rust_result_subscriber].freeze
    ENDPOINT = %r{\A(?:tcp://[^\s/]+:\d{1,5}|ipc://\S+)\z}
    # Inventories list every unacked step and must fit into one message: hence the outbox limit.
    # Its bytes hold at least one result of the largest size. A heartbeat that is late is no silence.
    LIMITS = { capacity: 1..1000, prefetch: 1..100, outbox_limit: 1..10_000,
               outbox_bytes: (1024 * 1024)..(2**40), silence_ms: 500..3_600_000,
               reconnect_max_ms: 100..60_000, resend_max_ms: 100..3_600_000 }.freeze

    # Taken as they come.
    PLAIN = %i[templates strict capacity prefetch log_level outbox_limit outbox_bytes outbox_path
               drain_timeout silence_ms reconnect_max_ms resend_max_ms].freeze
    WORKER_ID_CHARS = 200
    NAMESPACE = /\A(?:\*|[A-Za-z0-9_.-]{1,128})\z/

    attr_reader :templates, :strict, :requires, :worker_id, :capacity, :prefetch, :namespaces, :handlers,
                :steps_endpoints, :results_endpoints, :log_level, :outbox_limit, :drain_timeout,
                :outbox_bytes, :outbox_path, :secrets_dir, :silence_ms, :reconnect_max_ms, :resend_max_ms,
                :environment, :database_url

    # +options+: what the command line gave (keys as in DEFAULTS). Raises ConfigurationError.
    def initialize(options = {}, env: ENV)
      values = DEFAULTS.merge(options)
      file = read_file(values[:config])
      @named_file = !values[:config].nil?
      assign(values)
      @environment = presence(env['TASKER_ENV'])
      @secrets_dir = values[:secrets_dir] || presence(env['TASKER_SECRETS_DIR'])
      # A worker uses no database; this is for the warning about another one.
      @database_url = presence(env['TASKER_DATABASE_URL'])
      @steps_endpoints = endpoints('steps', values[:steps_endpoints], env, first_of(file, STEPS_KEYS))
      @results_endpoints = endpoints('results', values[:results_endpoints], env,
                                     first_of(file, RESULTS_KEYS))
      check
      freeze
    end

    # The name of this machine, fit for a worker's name: hosts are named by people.
    def self.host
      ErrorReport.text(Socket.gethostname, 100).gsub(/[[:cntrl:]]/, ErrorReport::UNKNOWN)
    end

    # In flight at most: running and waiting steps together.
    def in_flight_max = capacity * prefetch

    private

    def assign(values)
      PLAIN.each { |name| instance_variable_set(:"@#{name}", values[name]) }
      @requires = values[:requires].dup.freeze
      @worker_id = values[:worker_id] || "#{self.class.host}-ruby-#{Process.pid}"
      @namespaces = (values[:namespaces].empty? ? ['*'] : values[:namespaces]).uniq.freeze
      @handlers = values[:handlers]&.dup&.freeze
    end

    def check
      LIMITS.each do |name, range|
        value = public_send(name)
        next if value.is_a?(Integer) && range.cover?(value)

        refuse("--#{name.to_s.tr('_', '-')}", "must be #{range.begin} to #{range.end}, got #{value.inspect}")
      end
      check_worker_id
      check_choice
      check_places
      unless drain_timeout.is_a?(Numeric) && drain_timeout >= 0
        refuse('--drain-timeout',
               'must be 0 seconds or more')
      end
      return if Log::LEVELS.key?(log_level)

      refuse('--log-level', "must be one of #{Log::LEVELS.keys.join(', ')}, got #{log_level}")
    end

    def check_places
      refuse('--outbox', 'must name a file') if outbox_path == ''
      refuse('--secrets-dir', "#{secrets_dir} is no folder") if secrets_dir && !File.directory?(secrets_dir)
    end

    def check_choice
      if strict && templates.nil?
        refuse('--strict',
               'compares the handlers with templates; add --templates DIR')
      end
      refuse('--handlers', 'names no handler class') if handlers && handlers.empty?
      odd = namespaces.find { |name| !NAMESPACE.match?(name) }
      return unless odd

      refuse('--namespace', "#{odd.inspect[0, 80]} is no namespace: allowed are * and 1 to 128 letters, " \
                            'digits, _ . and -')
    end

    # It stands in lists, logs and records of everybody.
    def check_worker_id
      return if worker_id.valid_encoding? && worker_id.length.between?(1, WORKER_ID_CHARS) &&
                !worker_id.match?(/[[:cntrl:]]/)

      refuse('--worker-id', "must be 1 to #{WORKER_ID_CHARS} characters of UTF-8, no control characters")
    end

    def read_file(path)
      path ||= DEFAULT_CONFIG if File.exist?(DEFAULT_CONFIG)
      return {} if path.nil?

      data = YamlText.data(YamlText.read(path)) || {}
      refuse(path, 'must hold a map') unless data.is_a?(Hash)
      section = data['step_execution'] || {}
      refuse(path, 'step_execution must be a map') unless section.is_a?(Hash)
      section
    rescue YamlText::Refused => e
      raise ConfigurationError, "--config: cannot read #{path}: #{e.message}"
    end

    def first_of(file, keys)
      file.values_at(*keys).find { |value| !Array(value).empty? }
    end

    def endpoints(kind, option, env, from_file)
      default = kind == 'steps' ? DEFAULT_STEPS : DEFAULT_RESULTS
      names = ["TASKER_WORKER_#{kind.upcase}_ENDPOINT", "TASKER_#{kind.upcase}_ENDPOINT"]
      variable = names.find { |name| presence(env[name]) }
      source, value = if option then ["--#{kind}-endpoint", option]
                      elsif variable then [variable, running(kind, env[variable])]
                      else
                        ['--config', unnamed(kind, from_file) || default]
                      end
      list = Array(value).flat_map { |item| item.to_s.split(',') }.map { |item| connectable(item.strip) }
      refuse(source, "no #{kind} endpoint given") if list.empty?
      list.each do |item|
        next if ENDPOINT.match?(item)

        refuse(source, "#{item.inspect} is not an endpoint (tcp://HOST:PORT or ipc://PATH)")
      end
      list.uniq.freeze
    end

    # Variables of `tasker dev --env` outlive it; another one may run by now, elsewhere.
    def running(kind, value)
      (from_dev(kind) if Dev.left_over?(value)) || value
    end

    # A file that --config names wins over a running `tasker dev`, one that just lies there does not.
    def unnamed(kind, from_file)
      (from_file if @named_file) || from_dev(kind) || from_file
    end

    def from_dev(kind) = Dev.endpoints[kind]

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
