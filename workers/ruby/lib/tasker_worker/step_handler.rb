# frozen_string_literal: true

require 'did_you_mean'

module TaskerWorker
  # Optional base of handlers. Any class works that takes `new(config:)` and answers
  # `process(task, sequence, step)`. There is one object for each handler_config, built by the first step that
  # has it. Several threads use it at once: keep no state of a run in instance variables.
  class StepHandler
    # Names the exceptions (classes, or their names) that are tried again, whatever the table of Verdict says;
    # without arguments, returns the list. Derived classes have those of their base as well.
    def self.retry_on(*exceptions) = exception_list(:@retry_on, exceptions, :retry_on)

    # The same for exceptions that end the step.
    def self.fail_on(*exceptions) = exception_list(:@fail_on, exceptions, :fail_on)

    def self.exception_list(variable, added, list)
      own = instance_variable_get(variable) || []
      return (superclass.respond_to?(list) ? superclass.public_send(list) : []) + own if added.empty?

      instance_variable_set(variable, own + added.flatten)
    end
    private_class_method :exception_list

    # The step's handler_config, frozen.
    attr_reader :config

    # What holds for this object; a handler whose steps differ decides here by its +config+.
    def retry_on = self.class.retry_on
    def fail_on = self.class.fail_on

    def initialize(config: {})
      @config = config
    end

    # Returns the output of the step: JSON-able (Hash with String or Symbol keys, Array, String,
    # finite number, true, false, nil). Raise RetryableError or PermanentError to fail.
    def process(_task, _sequence, _step)
      raise NotImplementedError, "#{self.class.name} does not define process(task, sequence, step)"
    end
  end

  # Finds handler classes and says whether a class can be a handler, without making an object of it.
  module Handlers
    PROCESS = 'process(task, sequence, step)'
    PROCESS_RESULTS = 'process_results(step, output, initial_results)'

    @loaded = []
    @named = []

    module_function

    # Loads a file or a library with handlers. Raises ConfigurationError, with the place in the user's code.
    def load(file)
      before = $LOADED_FEATURES.dup
      path = File.expand_path(file)
      File.file?(path) || File.file?("#{path}.rb") ? require(path) : require(file)
      @loaded |= $LOADED_FEATURES - before
      @named |= [file]
    rescue LoadError => e
      reason = [file, path].include?(e.path) ? not_loadable(file, path, e) : "#{e.message}#{place(e)}"
      raise ConfigurationError, "--require #{file}: #{reason}"
    rescue SyntaxError => e # its message names the place
      raise ConfigurationError, "--require #{file}: SyntaxError: #{first_line(e)}"
    rescue StandardError => e
      raise ConfigurationError, "--require #{file}: #{e.class}: #{first_line(e)}#{place(e)}"
    end

    # What was loaded, for messages; empty when nothing was.
    def loaded_names = @named.join(', ')

    # What to write so that the classes in loaded files that have `process` are served; empty without any.
    def undeclared
      found = ObjectSpace.each_object(Class).select { |klass| unserved?(klass) }
      found = found.map { |klass| name_of(klass) }.sort_by { |name| Object.const_source_location(name) }
      hints = found.first(3).map do |name|
        file, line = Object.const_source_location(name)
        "write class #{last_part(name)} < TaskerWorker::StepHandler (#{File.basename(file)}:#{line})"
      end
      hints.join('; ') + (found.size > 3 ? ", and so for #{found.size - 3} more" : '')
    end

    def unserved?(klass)
      return false if klass.singleton_class? || klass <= StepHandler || !process?(klass) || shaped?(klass)

      @loaded.include?(klass.instance_method(:process).source_location&.first) &&
        !name_of(klass).nil? && resolve(name_of(klass)).equal?(klass)
    end

    def not_loadable(file, path, error)
      return 'it is a folder; name a Ruby file or a library' if File.directory?(path)
      return 'it is no Ruby file: its name must end in .rb' if File.file?(path)

      file.include?('/') || file.end_with?('.rb') ? 'there is no such file' : error.message
    end

    def first_line(error) = error.message.lines.first&.chomp

    # The innermost place that belongs neither to Ruby's own `require` nor to this library.
    def place(error)
      found = error.backtrace&.find { |line| !line.start_with?('<internal:', "#{__FILE__}:") }
      found && " (#{found})"
    end

    # {name => class}: every class derived from StepHandler, and every other class in what was loaded that
    # has the shape of a handler. A base without `process` that others derive from is none.
    def declared
      derived = descendants(StepHandler).reject { |klass| abstract?(klass) }
      shaped = @loaded.empty? ? [] : ObjectSpace.each_object(Class).select { |klass| shaped?(klass) }
      (derived | shaped).to_h { |klass| [name_of(klass), klass] }
                        .select { |name, klass| name && resolve(name).equal?(klass) }
    end

    # The class of that name, or nil when this process has none.
    def resolve(name)
      parts = name.split('::')
      return nil if parts.empty?

      klass = parts.reduce(Object) do |scope, part|
        # Object's own constants must not answer for a nested name: Foo::String is not ::String.
        return nil unless scope.const_defined?(part, scope.equal?(Object))

        scope.const_get(part, scope.equal?(Object))
      end
      klass if klass.is_a?(Class)
    rescue NameError, LoadError
      # Not a constant's name at all (a dotted Python path): served elsewhere.
      nil
    end

    # Raises ConfigurationError when the class cannot be a handler; the message says what to write.
    def check(name, klass)
      unless process?(klass)
        close = spell('process', klass.public_instance_methods - StepHandler.public_instance_methods)
        hint = "; did you mean process instead of #{close}?" if close
        hint ||= '; it is not public' if klass.private_method_defined?(:process)
        refuse(name, "has no method #{PROCESS}#{hint}")
      end
      check_parameters(name, klass, :process, PROCESS)
      check_parameters(name, klass, :process_results, PROCESS_RESULTS)
      check_lists(name, klass)
      return if takes_config?(klass)

      refuse(name, 'cannot be built with new(config: …): write initialize(config:), ' \
                   'or derive it from TaskerWorker::StepHandler')
    end

    # So many letters of a name say which one is meant.
    BEGINNING_MIN = 4

    # The one of +names+ that may have been meant, nil when none is close: nearly the same as a whole or in
    # its last part, or its beginning.
    def suggestion(name, names)
      return nil if names.empty?

      ends = names.group_by { |known| last_part(known) }
      part = last_part(name)
      spell(name, names) || ends[spell(part, ends.keys) || beginning(part, ends.keys)]&.first
    end

    def beginning(part, words)
      return if part.length < BEGINNING_MIN

      words.find { |word| word.start_with?(part) || part.start_with?(word) }
    end

    def did_you_mean(name, names)
      found = suggestion(name, names)
      found ? "; did you mean #{found}?" : ''
    end

    def spell(word, words)
      DidYouMean::SpellChecker.new(dictionary: words).correct(word).first || (word if words.include?(word))
    end

    def last_part(name) = name.tr('.', ':').split(':').last.to_s

    def name_of(klass) = Module.instance_method(:name).bind_call(klass)

    def descendants(klass) = klass.subclasses.flat_map { |one| [one, *descendants(one)] }

    # A base for others: it neither has `process` nor anything that could be a misspelt one.
    def abstract?(klass)
      !process?(klass) && (!klass.subclasses.empty? || klass.public_instance_methods(false).empty?)
    end

    def process?(klass)
      klass.public_method_defined?(:process) && klass.instance_method(:process).owner != StepHandler
    end

    def shaped?(klass)
      return false if klass.singleton_class? || klass <= StepHandler || !process?(klass)

      file, = klass.instance_method(:process).source_location
      @loaded.include?(file) && takes?(klass.instance_method(:process), 3) && takes_config?(klass)
    end

    # Whether the method can be called with so many arguments and no keywords.
    def takes?(method, count)
      kinds = method.parameters.map(&:first)
      required = kinds.count(:req)
      return false if kinds.include?(:keyreq) || required > count

      kinds.include?(:rest) || required + kinds.count(:opt) >= count
    end

    # A class may have a `new` of its own; otherwise its `initialize` decides.
    def takes_config?(klass)
      method = klass.method(:new)
      method = klass.instance_method(:initialize) if method.owner == Class
      parameters = method.parameters
      return false if parameters.any? { |kind, name| kind == :req || (kind == :keyreq && name != :config) }

      parameters.any? do |kind, name|
        %i[keyrest rest].include?(kind) || (kind.start_with?('key') && name == :config)
      end
    end

    def check_parameters(name, klass, method, shape)
      return unless klass.public_method_defined?(method)

      found = klass.instance_method(method)
      return if takes?(found, 3)

      refuse(name, "#{method} takes #{found.parameters.map { |_, word| word }.compact.join(', ').inspect}, " \
                   "but it is called with 3 arguments; write #{shape}")
    end

    def check_lists(name, klass)
      %i[retry_on fail_on].each { |list| Verdict.names_of(klass, list) }
    rescue ConfigurationError => e
      refuse(name, e.message)
    end

    def refuse(name, reason)
      raise ConfigurationError, "handler class #{name} #{reason}"
    end
  end
end
