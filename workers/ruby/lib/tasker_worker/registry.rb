# frozen_string_literal: true

module TaskerWorker
  # The handlers of this process: one object per template step, built at start, found by
  # (namespace, task, version, step) or by handler class in O(1).
  class Registry
    attr_reader :handlers, :namespaces, :elsewhere

    # +templates+: TemplateSet. +only+: handler class names that must be served, nil for every class
    # that resolves. Raises ConfigurationError when a wanted class is missing, cannot be built, or when
    # nothing would be served.
    def initialize(templates, only: nil)
      @by_step = {}
      @by_class = {}
      @elsewhere = []
      check_wanted(templates, only) if only
      templates.steps.group_by(&:handler_class).each do |name, steps|
        next if only && !only.include?(name)

        klass = resolve(name)
        klass ? add(klass, name, steps) : refuse_or_skip(name, steps, only)
      end
      nothing_served(templates) if @by_class.empty?
      @handlers = @by_class.keys.sort.freeze
      freeze
    end

    # The handler object for a delivered step, nil when this process does not serve it. A step that the
    # templates on this machine do not know is served by its class, with an empty config of its own
    # (its handler_config still comes with the step).
    def lookup(namespace, task, version, step, handler_class)
      known = @by_step.dig(namespace, task, version, step)
      return known[1] if known && known[0] == handler_class

      @by_class[handler_class]
    end

    def serves?(handler_class) = @by_class.key?(handler_class)

    private

    def add(klass, name, steps)
      steps.each do |step|
        by_version = (@by_step[step.namespace] ||= {})[step.task] ||= {}
        (by_version[step.version] ||= {})[step.name] = [name, build(klass, step.handler_config, step)]
      end
      @by_class[name] = build(klass, {}.freeze, steps.first)
      @namespaces = ((@namespaces || []) | steps.map(&:namespace)).sort
    end

    def resolve(name)
      klass = name.split('::').reduce(Object) do |scope, part|
        # Object's own constants must not answer for a nested name: Foo::String is not ::String.
        return nil unless scope.const_defined?(part, scope.equal?(Object))

        scope.const_get(part, scope.equal?(Object))
      end
      klass if klass.is_a?(Class)
    rescue NameError
      # Not a constant's name at all (a dotted Python path): served elsewhere.
      nil
    end

    def build(klass, config, step)
      handler = klass.new(config: config)
      return handler if handler.respond_to?(:process)

      raise ConfigurationError, "#{where(step)}: #{klass.name} has no method process(task, sequence, step)"
    rescue ConfigurationError
      raise
    rescue StandardError => e
      raise ConfigurationError, "#{where(step)}: #{klass.name}.new(config: …) raised #{e.class}: #{e.message}"
    end

    def refuse_or_skip(name, steps, only)
      unless only
        @elsewhere << name
        return
      end
      raise ConfigurationError,
            "#{where(steps.first)}: handler class #{name} was asked for with --handlers but is not defined " \
            '(name its file with --require)'
    end

    def check_wanted(templates, only)
      known = templates.steps.map(&:handler_class)
      missing = only.find { |name| !known.include?(name) }
      return unless missing

      raise ConfigurationError,
            "--handlers: no template in #{templates.dir} uses handler class #{missing} " \
            "(known: #{known.uniq.sort.join(', ')})"
    end

    def nothing_served(templates)
      example = templates.steps.first
      detail = example ? ", for example #{example.handler_class} (#{where(example)})" : ''
      raise ConfigurationError,
            "none of the handler classes in #{templates.dir} is defined in this process#{detail}; " \
            'name the files that define them with --require'
    end

    def where(step)
      "#{step.file}: step #{step.name}"
    end
  end
end
