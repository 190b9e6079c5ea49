# frozen_string_literal: true

require 'English'

module TaskerWorker
  # Of an outcome, beside the statuses of reports: the handler asked to be called again later.
  SNOOZED = 'snoozed'

  # How one run of a handler ended. +output_json+ is JSON text or nil; +error+ is the wire's error
  # object or nil. One that is SNOOZED has neither: it waits +retry_after+ seconds, for the reason in
  # +message+, or for none.
  Outcome = Struct.new(:status, :output_json, :error, :execution_ms, :retry_after, :message) do
    def snoozed? = status == SNOOZED

    # What stands beside the reason in its hand-back.
    def snooze_details = { 'wait_seconds' => retry_after, 'message' => message }.compact
  end

  # What a handler's output may weigh, in bytes of JSON and in levels; `welcome` sets it.
  Limits = Struct.new(:result_bytes, :output_depth) do
    # What holds until an orchestrator announces its own.
    def self.default = new(Wire::Codec::RESULT_BYTES_MAX).tap { |made| made.depth = Wire::Codec::DEPTH_MAX }

    # +levels+: of a whole message. An output goes into the requests of later steps, four levels deep:
    # message, steps, step, previous_results.
    def depth=(levels)
      self.output_depth = [levels - 4, 1].max
    end
  end

  # Encodes what a handler returned. Stricter than JSON.generate, which would send `to_s` of any
  # object and so turn a forgotten conversion into a silent wrong result.
  module Output
    # An output that may not go out: why and where, and the code that the report names.
    class Refused < Error
      attr_reader :code

      def initialize(code, message)
        super(message)
        @code = code
      end
    end

    module_function

    # Returns JSON text (UTF-8); raises Refused with unserialisable_output, output_too_deep or
    # output_too_large.
    def encode(value, limits = Limits.default)
      text = json(value, limits.output_depth)
      return text if text.bytesize <= limits.result_bytes

      raise Refused.new('output_too_large', "the output is #{text.bytesize} bytes of JSON, the limit is " \
                                            "#{limits.result_bytes}")
    end

    # The same for a text of any size.
    def json(value, depth = Limits.default.output_depth)
      # The walk with paths allocates at each level, so it runs only to name what is wrong.
      check(value, [], depth) unless plain?(value, depth)
      JSON.generate(value, max_nesting: depth)
    rescue JSON::GeneratorError, EncodingError => e
      raise Refused.new('unserialisable_output', "output: #{ErrorReport.text(e.message, 200)}")
    end

    # +levels+: how many may still follow.
    def plain?(value, levels)
      case value
      when String then plain_text?(value)
      when Symbol then plain_text?(value.name)
      when Integer, true, false, nil then true
      when Float then value.finite?
      when Hash
        levels.positive? && value.all? { |key, item| plain_key?(key) && plain?(item, levels - 1) }
      when Array then levels.positive? && value.all? { |item| plain?(item, levels - 1) }
      else false
      end
    end

    def plain_key?(key)
      key.is_a?(String) ? plain_text?(key) : key.is_a?(Symbol) && plain_text?(key.name)
    end

    def plain_text?(text)
      text.ascii_only? || (text.encoding != Encoding::BINARY && text.valid_encoding?)
    end

    def check(value, path, levels)
      case value
      when String, Symbol then check_text(value, path)
      when Integer, true, false, nil then nil
      when Float then refuse(path, "#{value} has no JSON form") unless value.finite?
      when Hash then check_hash(value, path, levels)
      when Array
        too_deep(path) unless levels.positive?
        value.each_with_index { |item, index| check(item, path + [index], levels - 1) }
      else
        refuse(path, "#{value.class} is not a JSON type; convert it to a Hash, Array, String or number")
      end
    end

    def check_hash(value, path, levels)
      too_deep(path) unless levels.positive?
      value.each do |key, item|
        unless key.is_a?(String) || key.is_a?(Symbol)
          refuse(path, "keys must be strings or symbols, got #{key.class} #{key.inspect[0, 40]}")
        end
        check_text(key, path)
        check(item, path + [key], levels - 1)
      end
    end

    def check_text(value, path)
      text = value.to_s
      return if plain_text?(text)

      refuse(path, text.encoding == Encoding::BINARY ? 'a string is binary' : 'a string is not valid UTF-8')
    end

    # The path has a part for each level that was allowed.
    def too_deep(path)
      refuse(path.first(4), "nested deeper than #{path.size} levels", 'output_too_deep')
    end

    def refuse(path, reason, code = 'unserialisable_output')
      place = path.map { |part| part.is_a?(Integer) ? "[#{part}]" : ".#{part}" }.join
      raise Refused.new(code, "output#{place}: #{reason}")
    end
  end

  # Turns an exception into what goes over the wire: [status, error object]. Verdict says whether it may be
  # tried again. Texts are cleaned first, by the rule that all SDKs share (`text`).
  module ErrorReport
    MESSAGE_CHARS = 4096
    SNOOZE_CHARS = 1000
    # Of an error's type and code.
    NAME_CHARS = 256
    BACKTRACE_LINES = 20
    LINE_CHARS = 500
    CAUSES = 4
    CAUSE_LINES = 10
    CONTEXT_LIMITS = Limits.new(16_384, 16).freeze
    UNKNOWN = "\uFFFD"
    HALF_SURROGATE = /\xED[\xA0-\xBF][\x80-\xBF]/n
    # Frames of this library, of Ruby and of gems are not the handler's code.
    OWN_CODE = "#{File.expand_path('..', __dir__)}/".freeze
    FOREIGN_CODE = [OWN_CODE, *Gem.path, RbConfig::CONFIG['rubylibprefix'], '<internal:'].freeze

    module_function

    # +handler+: its object, or its class while there is none; its lists have a say.
    def from(exception, handler = nil)
      error = { 'message' => message_of(exception), 'error_type' => type_name(exception.class) }
      status = classify(exception, error, handler)
      backtrace = backtrace_of(exception)
      error['backtrace'] = backtrace unless backtrace.empty?
      add_context(exception, error)
      [status, error]
    end

    # The same shape for failures that no exception describes.
    def build(message, error_type:, retryable:, error_code: nil, **extra)
      { 'message' => text(message), 'error_type' => error_type, 'error_code' => error_code,
        'retryable' => retryable }.merge(extra.transform_keys(&:to_s)).compact
    end

    # What a handler raised on purpose stands as it is. Any other error, and each cause, also has its type and
    # place, since a bare "nope" names no fault.
    def message_of(exception, as_cause: false)
      words = words_of(exception)
      if exception.is_a?(StepError) && !as_cause
        return text(words.empty? ? type_name(exception.class) : words)
      end

      place = place_of(exception)
      place = " (#{place})" if place
      room = MESSAGE_CHARS - place.to_s.length
      text("#{type_name(exception.class)}: #{words}".delete_suffix(': '), room) + place.to_s
    end

    # Ruby appends the source line with a marker to the message of a NameError, after an empty line.
    def words_of(exception)
      message = utf8(start_of(exception.message.to_s, 8 * MESSAGE_CHARS))
      exception.is_a?(NameError) ? message.split("\n\n", 2).first.to_s : message
    rescue StandardError => e
      "(its message cannot be read: #{e.class})"
    end

    # "file.rb:29": where in the handler's own code it was raised, else where it was raised at all.
    def place_of(exception)
      frames = Array(exception.backtrace).map { |line| utf8(line.to_s) }
      frame = frames.find { |line| !line.start_with?(*FOREIGN_CODE) } || frames.first
      found = frame.to_s.match(/\A(.*?):(\d+)/m)
      found && text("#{File.basename(found[1])}:#{found[2]}", NAME_CHARS)
    end

    # The innermost frames of the exception, then those of its causes.
    def backtrace_of(exception)
      lines = frames_of(exception, BACKTRACE_LINES)
      seen = [exception]
      while (cause = seen.last.cause) && seen.size <= CAUSES && seen.none? { |one| one.equal?(cause) }
        seen << cause
        lines << text("caused by #{message_of(cause, as_cause: true)}", LINE_CHARS)
        lines.concat(frames_of(cause, CAUSE_LINES))
      end
      lines
    end

    def frames_of(exception, limit)
      frames = Array(exception.backtrace).first(1000).map { |line| line_text(line) }
      # From the handler's caller on it is always the same.
      caller_at = frames.index.with_index { |line, at| at.positive? && line.start_with?("#{__FILE__}:") }
      frames.first([caller_at || frames.size, limit].min)
    end

    def classify(exception, error, handler)
      retryable, code = Verdict.of(exception, handler)
      error['retryable'] = retryable
      error['error_code'] = code if code
      add_fields(exception, error) if exception.is_a?(StepError)
      retryable ? Verdict::FAILED : Verdict::ERROR
    end

    def add_fields(exception, error)
      error.update(exception.wire_fields)
      error['error_code'] = text(error['error_code'], NAME_CHARS) if error['error_code']
    end

    # Names of this library's errors travel without their module, as every SDK sends them.
    def type_name(klass)
      text((klass.name || klass).to_s.delete_prefix('TaskerWorker::'), NAME_CHARS)
    end

    # Text that every receiver can store: U+FFFD stands for U+0000, for half a surrogate and for bytes
    # that are no UTF-8; what is longer than +chars+ ends with an ellipsis.
    def text(value, chars = MESSAGE_CHARS)
      clean = Secrets.shared.mask(utf8(start_of(value.to_s, 8 * chars)))
      clean.length > chars ? "#{clean[0, chars - 1]}…" : clean
    end

    # The same for a frame of a backtrace: its end says more.
    def line_text(value)
      clean = Secrets.shared.mask(utf8(value.to_s))
      clean.length > LINE_CHARS ? "…#{clean[-(LINE_CHARS - 1)..]}" : clean
    end

    # Nobody needs all of a message of 100 MB to be cleaned.
    def start_of(text, bytes)
      text.bytesize > bytes ? text.byteslice(0, bytes) : text
    end

    def utf8(text)
      clean = text.dup
      if [Encoding::UTF_8, Encoding::BINARY, Encoding::US_ASCII].include?(clean.encoding)
        clean.force_encoding(Encoding::UTF_8)
      else
        clean = clean.encode(Encoding::UTF_8, invalid: :replace, undef: :replace, replace: UNKNOWN)
      end
      unless clean.valid_encoding?
        clean = clean.b.gsub(HALF_SURROGATE, UNKNOWN.b).force_encoding(Encoding::UTF_8).scrub(UNKNOWN)
      end
      clean.tr("\0", UNKNOWN)
    rescue EncodingError
      text.b.force_encoding(Encoding::UTF_8).scrub(UNKNOWN).tr("\0", UNKNOWN)
    end

    # The context helps people who read the stored error; an unusable one must not hide the error.
    def add_context(exception, error)
      return unless exception.is_a?(StepError) && !exception.context.empty?

      context = JSON.parse(Output.encode(exception.context, CONTEXT_LIMITS))
      context = { 'dropped' => 'it holds U+0000' } if zero_byte?(context)
      error['context'] = Secrets.shared.masked(context)
    rescue StandardError => e
      error['context'] = { 'dropped' => text(e.message, LINE_CHARS) }
    end

    def zero_byte?(value)
      case value
      when String then value.include?("\0")
      when Hash then value.any? { |key, item| key.include?("\0") || zero_byte?(item) }
      when Array then value.any? { |item| zero_byte?(item) }
      else false
      end
    end
  end

  # Runs one handler and turns whatever happens into an Outcome. Never raises: what a handler throws is
  # a report, not a fault of the worker. Called from pool threads.
  class HandlerRun
    # The outcome of an attempt whose handler ended the thread that it ran in.
    def self.lost(attempt)
      error = ErrorReport.build('the handler ended its own thread (Thread.exit or Thread#kill)',
                                error_type: 'ThreadEnded', error_code: 'thread_ended', retryable: true)
      Outcome.new('failed', nil, error, attempt.age_ms(Clock.now_ms))
    end

    # +limits+: Limits; a later `welcome` may change them. +effects+: EffectsLog or nil.
    def initialize(limits: Limits.default, effects: nil, clock: Clock)
      @limits = limits
      @effects = effects
      @clock = clock
    end

    def call(attempt)
      run(attempt.handler, attempt.task, attempt.sequence, attempt.step)
    end

    # +entry+: Registry::Entry.
    def run(entry, task, sequence, step)
      started = @clock.now_ms
      status, output_json, error, retry_after, message = run_once(entry, task, sequence, step)
      Outcome.new(status, output_json, error, (@clock.now_ms - started).round, retry_after, message)
    end

    private

    # [status, output as JSON text, error, seconds of a snooze, its message]
    def run_once(entry, task, sequence, step)
      @effects&.write('start', task, step)
      result = outcome_of(entry, task, sequence, step)
      @effects&.write('end', task, step)
      result
    rescue SystemCallError => e
      # The side-effect log of a test cannot be written: the attempt must not look clean.
      describe(e)
    end

    def outcome_of(entry, task, sequence, step)
      ['completed', output_of(in_this_process { entry.object }, task, sequence, step), nil]
    rescue Exception => e # rubocop:disable Lint/RescueException -- exit, abort or a stack overflow in a
      # handler must end its step, not the pool thread that other steps need.
      describe(e, entry.handler)
    end

    def output_of(handler, task, sequence, step)
      output = in_this_process { handler.process(task, sequence, step) }
      if handler.respond_to?(:process_results)
        output = in_this_process { handler.process_results(step, output, nil) }
      end
      Output.encode(output, @limits)
    end

    # A child that a handler forked has the worker's sockets and files, but it is not the worker. When it
    # comes back out of the handler it ends at once: it runs no exit hooks, reports nothing and sends nothing.
    def in_this_process
      pid = Process.pid
      returned = false
      result = yield
      returned = true
      result
    ensure
      unless Process.pid == pid
        error = $ERROR_INFO
        code = returned ? 0 : 1
        exit!(error.is_a?(SystemExit) ? error.status : code)
      end
    end

    def describe(exception, handler = nil)
      return snooze(exception) if exception.is_a?(SnoozeError)

      status, error = if exception.is_a?(Output::Refused)
                        ['error', ErrorReport.build(exception.message, error_type: 'OutputError',
                                                                       retryable: false,
                                                                       error_code: exception.code)]
                      else
                        ErrorReport.from(exception, handler)
                      end
      [status, nil, error]
    rescue StandardError => e
      # An exception that overrides what is read of it, and raises there.
      type = ErrorReport.text(exception.class, ErrorReport::NAME_CHARS)
      ['failed', nil, ErrorReport.build("#{type} could not be described: #{e.class}",
                                        error_type: type, retryable: true)]
    end

    # A class of its own may have left out the seconds, and the message may be overridden and raise.
    def snooze(exception)
      message = ErrorReport.text(ErrorReport.words_of(exception), ErrorReport::SNOOZE_CHARS)
      message = nil if message.empty? || message == exception.class.name
      [SNOOZED, nil, nil, exception.seconds || 0, message]
    end
  end
end
