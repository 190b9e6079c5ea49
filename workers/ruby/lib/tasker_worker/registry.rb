# frozen_string_literal: true

module TaskerWorker
  # The handler classes that this process serves, and their objects. A step brings its own handler_config: for
  # each pair of a class and a configuration one object is built, by the first step that needs it, and kept
  # (the OBJECTS_MAX used last). Socket thread only, except for Entry#object.
  class Registry
    OBJECTS_MAX = 1000

    # A handler object and how it is built: by a handler thread, since a constructor may take its time.
    class Entry
      def self.of(object) = new(nil, nil, object)

      def initialize(klass, config, object = nil, secrets: Secrets.shared)
        @klass = klass
        @config = config
        @secrets = secrets
        @object = object
        @mutex = Mutex.new unless object
      end

      # The object; whatever its constructor raises is raised here, and the next step tries again.
      def object
        @object || @mutex.synchronize { @object ||= made }
      end

      # The object, or the class while there is none.
      def handler = @object || @klass

      private

      def made
        object = @klass.new(config: @secrets.resolved(@config))
        %i[retry_on fail_on].each { |list| Verdict.names_of(object, list) }
        object
      end
    end

    # Handler classes against templates, each with the name that may have been meant: `unasked` are served
    # here and stand in no template, `elsewhere` stand in one and are not served here.
    Comparison = Struct.new(:unasked, :elsewhere)

    # The classes to serve: those of +only+, else all that are declared, and those of +asked+ (the handler
    # classes of templates) that this process has. Raises ConfigurationError when one of +only+ is missing,
    # when one cannot be a handler, and when there is none.
    def self.build(only: nil, asked: [])
      declared = Handlers.declared
      classes = if only
                  only.to_h { |name| [name, wanted(name, declared)] }
                else
                  declared.merge(asked.to_h { |name| [name, Handlers.resolve(name)] }.compact)
                end
      return new(classes) unless classes.empty?

      raise ConfigurationError, "there is no handler to serve: #{why_none}"
    end

    def self.wanted(name, declared)
      found = Handlers.resolve(name)
      return found if found

      hint = Handlers.did_you_mean(name, declared.keys)
      undeclared = Handlers.undeclared
      hint = "; #{undeclared}" if hint.empty? && !undeclared.empty?
      raise ConfigurationError, "handler class #{name} is missing: --handlers asks for it, but no " \
                                "--require defines it#{hint}"
    end

    def self.why_none
      files = Handlers.loaded_names
      if files.empty?
        return 'name the file of your handlers with --require, and derive each class from ' \
               'TaskerWorker::StepHandler'
      end

      hints = Handlers.undeclared
      return "#{files} defines none; #{hints}" unless hints.empty?

      "#{files} has no class with a public method #{Handlers::PROCESS}; derive one from " \
        'TaskerWorker::StepHandler'
    end
    private_class_method :wanted, :why_none

    # +classes+: {name => class}. Raises ConfigurationError when one cannot be a handler.
    def initialize(classes, objects_max: OBJECTS_MAX)
      classes.each { |name, klass| Handlers.check(name, klass) }
      @classes = classes
      @objects_max = objects_max
      @entries = {}
    end

    def handlers = @classes.keys.sort

    # The Entry for a step of that class and configuration; nil when the class is not served here.
    def find(name, config)
      klass = @classes[name]
      return nil if klass.nil?

      # Both parts are compared with eql?, so 1, 1.0 and "1" are three configurations.
      key = config.empty? ? name : [name, config]
      entry = @entries.delete(key) || Entry.new(klass, config)
      @entries[key] = entry
      @entries.shift if @entries.size > @objects_max
      entry
    end

    # +steps+: of all templates. Raises ConfigurationError when one that is served here names a secret that is
    # not known here.
    def check_secrets(steps)
      steps.select { |step| @classes.key?(step.handler_class) }.each do |step|
        Secrets.references(step.handler_config).each { |one| Secrets.shared.value(Secrets.name_of(one)) }
      rescue StepError => e
        raise ConfigurationError, "#{step.file}: step #{step.name}: handler_config: #{e.message}"
      end
    end

    # +asked+: the handler classes of all templates.
    def compare(asked)
      here = @classes.keys - asked
      there = asked - @classes.keys
      Comparison.new(here.sort.to_h do |name|
                       [name, Handlers.suggestion(name, there.empty? ? asked : there)]
                     end,
                     there.sort.to_h { |name| [name, Handlers.suggestion(name, here)] })
    end
  end
end
