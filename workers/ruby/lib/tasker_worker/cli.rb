# frozen_string_literal: true

require 'optparse'

module TaskerWorker
  # The command line of `tasker-worker`: options → Settings → Registry → Worker → exit code.
  class CLI
    EXIT_OK = 0
    EXIT_FAILED = 1
    EXIT_USAGE = 2
    EXIT_REFUSED = 3

    HELP = <<~TEXT
      tasker-worker runs your step handlers for a Tasker orchestrator.

      Usage: tasker-worker [options]

        tasker-worker --require ./handlers.rb                  serve every handler class that file defines
        tasker-worker --require ./handlers.rb --handlers Orders::ShipHandler,Orders::PayHandler
                                                               serve exactly these
        tasker-worker --templates config/tasks --config config/zeromq.yaml --require ./handlers.rb --capacity 4

      A handler is a class with process(task, sequence, step); its name stands in a task template as
      handler_class. All templates of --templates are read at start. Without --handlers this process serves
      every class it can resolve; the others are served elsewhere (a Python worker, for example).

      Options:
    TEXT

    AFTER = <<~TEXT

      Environment (an option wins over it, it wins over --config):
        TASKER_WORKER_STEPS_ENDPOINT, TASKER_WORKER_RESULTS_ENDPOINT   what this worker connects to
        TASKER_STEPS_ENDPOINT, TASKER_RESULTS_ENDPOINT                 the same for all parts; tcp://*:5555 means loopback
        TASKER_ENV            which `environments:` section of the templates holds
        TASKER_EFFECTS_LOG    append a JSON line at start and end of every handler run (for tests)
      Several endpoints (comma-separated, or the option repeated) are an active orchestrator and its standbys.

      Signals: SIGTERM or SIGINT drains (steps not started go back, running ones finish, reports are
      flushed); a second one says goodbye and exits, a third one exits at once.

      Exit codes: 0 drained, everything acknowledged · 1 left with unfinished work or failed ·
      2 bad option, configuration, template, handler or outbox file · 3 refused by the orchestrator

      Logs are key=value lines on stderr.
    TEXT

    def self.run(argv, out: $stdout, err: $stderr)
      new(out, err).run(argv)
    end

    def initialize(out, err)
      @out = out
      @err = err
    end

    def run(argv)
      options = parse(argv)
      return options if options.is_a?(Integer)

      settings = Settings.new(options)
      log = Log.new(level: settings.log_level, io: @err)
      work(settings, registry_for(settings, log), log)
    rescue OptionParser::ParseError, ConfigurationError => e
      complain(e.message, EXIT_USAGE)
    rescue Transport::Failure => e
      complain(e.message, EXIT_FAILED)
    end

    private

    def complain(message, code)
      hint = code == EXIT_USAGE ? ' (tasker-worker --help)' : ''
      @err.puts "tasker-worker: #{message}#{hint}"
      code
    end

    def work(settings, registry, log)
      # A limit on file sizes is to this process what a full disk is: an error, not a death.
      trap('XFSZ', 'SIG_IGN')
      worker = Worker.new(settings, registry, log: log)
      %w[TERM INT].each { |signal| trap(signal) { worker.stop || exit!(EXIT_FAILED) } }
      code = run_worker(worker)
      return code unless worker.stragglers?

      # A handler that hangs would keep the process alive for ever, and threads cannot be killed safely.
      @err.flush
      exit!(code)
    end

    def run_worker(worker)
      worker.run
    rescue Session::Refused => e
      complain(e.message, EXIT_REFUSED)
    end

    def registry_for(settings, log)
      settings.requires.each { |file| load_handlers(file) }
      registry = Registry.new(TemplateSet.load(settings.templates, environment: settings.environment),
                              only: settings.handlers)
      unless registry.elsewhere.empty?
        log.info('handler classes served elsewhere', classes: registry.elsewhere.sort.join(','))
      end
      registry
    end

    def load_handlers(file)
      path = File.expand_path(file)
      File.file?(path) || File.file?("#{path}.rb") ? require(path) : require(file)
    rescue LoadError => e
      raise ConfigurationError, "--require #{file}: #{e.message}"
    rescue StandardError, SyntaxError => e
      place = e.backtrace&.first
      raise ConfigurationError,
            "--require #{file}: #{e.class}: #{e.message.lines.first&.chomp}#{" (#{place})" if place}"
    end

    # Returns the options, or an exit code when --help or --version said all.
    def parse(argv)
      options = { requires: [], namespaces: [] }
      parser = parser_for(options)
      rest = parser.parse(argv)
      raise OptionParser::InvalidArgument, "unexpected #{rest.first.inspect}" unless rest.empty?
      return options unless options[:shown]

      @out.puts(options[:shown] == :help ? parser.help + AFTER : "tasker-worker #{VERSION}")
      EXIT_OK
    end

    def parser_for(options)
      OptionParser.new(HELP, 30) do |o|
        handler_options(o, options)
        process_options(o, options)
        endpoint_options(o, options)
        wire_options(o, options)
        o.on('-h', '--help', 'this text') { options[:shown] = :help }
        o.on('--version', 'print the version') { options[:shown] = :version }
      end
    end

    def handler_options(parser, options)
      parser.on('--require FILE', 'load FILE (or library) with handlers; repeatable') do |v|
        options[:requires] << v
      end
      parser.on('--templates DIR', "task templates (default #{Settings::DEFAULTS[:templates]})") do |v|
        options[:templates] = v
      end
      parser.on('--handlers CLASS,…', Array,
                'serve exactly these classes; a missing one fails the start') do |v|
        (options[:handlers] ||= []).concat(v)
      end
      parser.on('--namespace NS', 'take work of this namespace only; repeatable',
                '(default: the namespaces of the served templates)') { |v| options[:namespaces] << v }
    end

    def process_options(parser, options)
      parser.on('--worker-id NAME', 'stable name of this worker (default ruby@HOSTNAME)') do |v|
        options[:worker_id] = v
      end
      parser.on('--capacity N', Integer, 'handlers at once (default 10)') { |v| options[:capacity] = v }
      parser.on('--prefetch N', Integer, 'steps in flight per slot (default 2)') do |v|
        options[:prefetch] = v
      end
      parser.on('--outbox-limit N', Integer, 'unacknowledged reports kept; nothing new starts',
                'above it (default and most 10000)') { |v| options[:outbox_limit] = v }
      outbox_options(parser, options)
      parser.on('--drain-timeout SECONDS', Float, 'how long a drain may take (default 30)') do |v|
        options[:drain_timeout] = v
      end
      parser.on('--log-level LEVEL', 'debug, info, warn or error (default info)') do |v|
        options[:log_level] = v
      end
    end

    def outbox_options(parser, options)
      parser.on('--outbox-bytes N', Integer, 'the same limit in bytes; whichever is reached first',
                'counts (default 67108864)') { |v| options[:outbox_bytes] = v }
      parser.on('--outbox PATH', 'keep unacknowledged reports in this file as well: a process',
                'that is started again with it sends what its predecessor',
                'could not; one file per worker') { |v| options[:outbox_path] = v }
    end

    def wire_options(parser, options)
      parser.on('--silence-ms N', Integer, 'connect anew when nothing was heard for so long;',
                'at least 5 heartbeats (default 5000)') { |v| options[:silence_ms] = v }
      parser.on('--reconnect-max-ms N', Integer, 'longest pause between tries to connect',
                '(default 2000)') { |v| options[:reconnect_max_ms] = v }
      parser.on('--resend-max-ms N', Integer, 'longest wait before a report is sent again',
                '(default 30000)') { |v| options[:resend_max_ms] = v }
    end

    def endpoint_options(parser, options)
      parser.on('--config FILE', 'YAML with step_execution.handler_step_subscriber and',
                "handler_result_publisher (default #{Settings::DEFAULT_CONFIG}, if it exists)") do |v|
        options[:config] = v
      end
      parser.on('--steps-endpoint URL', "where steps come from (default #{Settings::DEFAULT_STEPS})") do |v|
        (options[:steps_endpoints] ||= []) << v
      end
      parser.on('--results-endpoint URL', "where reports go (default #{Settings::DEFAULT_RESULTS})") do |v|
        (options[:results_endpoints] ||= []) << v
      end
    end
  end
end
