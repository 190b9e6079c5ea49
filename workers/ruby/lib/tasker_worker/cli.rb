# frozen_string_literal: true

require 'optparse'
require_relative '../tasker_worker'
require_relative 'settings'
require_relative 'worker'

module TaskerWorker
  # The command line of `tasker-worker`: options → Settings → Registry → Worker → exit code.
  class CLI
    HELP = <<~TEXT
      tasker-worker runs your step handlers for a Tasker orchestrator.

      Usage: tasker-worker [options]

        tasker-worker --require ./handlers.rb                  serve every handler class that file defines
        tasker-worker --require ./handlers.rb --handlers Orders::ShipHandler,Orders::PayHandler
                                                               serve exactly these
        tasker-worker --require ./handlers.rb --templates config/tasks --strict
                                                               and compare them with these templates first

      A handler is a class with process(task, sequence, step); its name stands in a task template as
      handler_class. Without --handlers every class derived from TaskerWorker::StepHandler is served, and every
      other one of that shape in what --require loads. What a handler gets, its configuration too, comes with
      each step, so no template is needed here. With --templates the classes are compared with them at start.

      Options:
    TEXT

    AFTER = <<~TEXT

      Environment (an option wins over a variable, a variable over --config):
        TASKER_WORKER_STEPS_ENDPOINT, TASKER_WORKER_RESULTS_ENDPOINT   what this worker connects to
        TASKER_STEPS_ENDPOINT, TASKER_RESULTS_ENDPOINT                 the same for all parts; tcp://*:5555 means loopback
        TASKER_ENV            which `environments:` section of the --templates holds
        TASKER_SECRETS_DIR    the same as --secrets-dir; TASKER_SECRET_STRIPE_API_KEY is the secret stripe/api_key
        TASKER_EFFECTS_LOG    append a JSON line at start and end of every handler run (for tests)
      Several endpoints (comma-separated, or the option repeated) are an active orchestrator and its standbys.

      Signals: SIGTERM or SIGINT drains: the worker hands back the steps that have not started, finishes the
      others and waits for the acks. After a second signal it only sends goodbye, after a third not even that.

      Exit codes:
        0  drained: everything is reported and acknowledged
        1  unexpected: a fault of the worker itself
        2  bad option, configuration, template, handler or outbox file, or a missing library
        3  refused for good by the orchestrator
        4  left with unfinished work: the drain limit was over, or a second signal came

      Logs are key=value lines on stderr.
    TEXT

    def self.run(argv, out: $stdout, err: $stderr)
      new(out, err).run(argv)
    end

    def initialize(out, err)
      @out = out
      @err = LogWriter.new(err)
    end

    def run(argv)
      options = parse(argv)
      return options if options.is_a?(Integer)

      settings = Settings.new(options)
      Secrets.shared.directory = settings.secrets_dir
      log = Log.new(level: settings.log_level, io: @err)
      work(settings, registry_for(settings, log), log)
    rescue OptionParser::ParseError => e
      complain(in_one_line(e), ExitCode::USAGE)
    rescue ConfigurationError => e
      complain(e.message, ExitCode::USAGE)
    rescue Sockets::Failure => e
      complain(e.message, ExitCode::UNEXPECTED)
    ensure
      @err.close
    end

    private

    # OptionParser names what may have been meant in lines of their own, without the dashes.
    def in_one_line(error)
      text, meant = error.message.split(/\nDid you mean\?\s*/, 2)
      meant ? "#{text}; did you mean --#{meant.lines.first.strip}?" : text
    end

    def complain(message, code)
      hint = code == ExitCode::USAGE ? ' (tasker-worker --help)' : ''
      @err.write("tasker-worker: #{message}#{hint}\n")
      code
    end

    def work(settings, registry, log)
      # A limit on file sizes is to this process what a full disk is: an error, not a death.
      trap('XFSZ', 'SIG_IGN')
      worker = Worker.new(settings, registry, log: log)
      %w[TERM INT].each do |signal|
        trap(signal) do
          worker.stop("SIG#{signal}") || exit!(ExitCode::UNFINISHED)
        end
      end
      code = run_worker(worker)
      return code if worker.handlers_running.zero?

      # A handler that hangs would keep the process alive for ever, and threads cannot be killed safely.
      worker.log.warn('handlers still run and end with the process', handlers: worker.handlers_running)
      @err.close
      exit!(code)
    end

    def run_worker(worker)
      worker.run
    rescue Session::Refused => e
      complain(e.message, ExitCode::REFUSED)
    end

    def registry_for(settings, log)
      settings.requires.each { |file| Handlers.load(file) }
      return Registry.build(only: settings.handlers) if settings.templates.nil?

      templates = Templates.load(settings.templates, environment: settings.environment)
      asked = templates.handler_classes
      Registry.build(only: settings.handlers, asked: asked).tap do |registry|
        compare(registry.compare(asked), settings, log)
        registry.check_secrets(templates.steps)
      end
    end

    def compare(compared, settings, log)
      compared.unasked.each do |name, meant|
        hint = "; did you mean #{meant}?" if meant
        if settings.strict
          raise ConfigurationError,
                "handler class #{name} stands in no template of #{settings.templates}#{hint}"
        end

        log.warn('handler in no template', handler: name, did_you_mean: meant)
      end
      elsewhere = compared.elsewhere.keys
      log.info('served elsewhere', handlers: elsewhere.join(',')) unless elsewhere.empty?
    end

    # Returns the options, or an exit code when only --help or --version was asked for.
    def parse(argv)
      options = { requires: [], namespaces: [] }
      parser = parser_for(options)
      rest = parser.parse(argv)
      raise OptionParser::InvalidArgument, unexpected(rest.first) unless rest.empty?
      return options unless options[:shown]

      @out.puts(options[:shown] == :help ? parser.help + AFTER : "tasker-worker #{VERSION}")
      ExitCode::DRAINED
    end

    def unexpected(word)
      "unexpected #{word.inspect}#{"; did you mean --require #{word}?" if File.file?(word)}"
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
      parser.on('--templates DIR', 'compare the handlers with these task templates, *.yaml:',
                'a class that no template names is a warning') { |v| options[:templates] = v }
      parser.on('--strict', 'with --templates: such a class stops the start') { options[:strict] = true }
      parser.on('--handlers CLASS,…', Array,
                'serve exactly these classes; a missing one fails the start') do |v|
        (options[:handlers] ||= []).concat(listed(v))
      end
      parser.on('--namespace NS,…', '--namespaces NS,…', Array,
                'take work of these namespaces only; repeatable (default *)') do |v|
        options[:namespaces].concat(listed(v))
      end
    end

    def listed(words) = words.compact.map(&:strip).reject(&:empty?)

    def process_options(parser, options)
      parser.on('--worker-id NAME', 'name of this worker (default HOST-ruby-PID)') do |v|
        options[:worker_id] = v
      end
      parser.on('--capacity N', Integer, 'handlers at once (default 10)') { |v| options[:capacity] = v }
      parser.on('--prefetch N', Integer, 'steps in flight per slot (default 2)') do |v|
        options[:prefetch] = v
      end
      parser.on('--outbox-limit N', Integer, 'unacknowledged reports kept; nothing new starts',
                'above it (default and most 10000)') { |v| options[:outbox_limit] = v }
      outbox_options(parser, options)
      parser.on('--secrets-dir DIR', 'the folder with the secrets that a handler_config names as',
                '{"$secret": NAME}, one file each') { |v| options[:secrets_dir] = v }
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
      parser.on('--silence-ms N', Integer, 'connect anew when nothing was received for so long;',
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
