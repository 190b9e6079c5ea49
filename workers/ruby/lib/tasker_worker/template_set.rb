# frozen_string_literal: true

require 'psych'
require 'date'

module TaskerWorker
  # What a worker needs of the task templates: for every step its handler class and the handler_config
  # that holds in this environment. The orchestrator validates templates completely (`tasker template
  # check`); here only what is read is checked, and complaints name file and field.
  class TemplateSet
    TemplateStep = Struct.new(:file, :namespace, :task, :version, :name, :handler_class, :handler_config,
                              :depends_on, :retryable, :retry_limit, :timeout_ms, keyword_init: true)
    DEFAULT_RETRY_LIMIT = 3
    DEFAULT_TIMEOUT_S = 30
    VARIABLE = /\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}/
    DATE_LIKE = /\A\d{4}-\d{1,2}-\d{1,2}/

    attr_reader :steps, :dir

    # Reads all *.yaml and *.yml of +dir+, sorted. Raises ConfigurationError.
    def self.load(dir, environment: nil, env: ENV)
      raise ConfigurationError, "--templates: #{dir} is not a directory" unless File.directory?(dir)

      files = Dir.glob(File.join(dir, '*.{yaml,yml}'))
      raise ConfigurationError, "--templates: #{dir} holds no *.yaml file" if files.empty?

      new(dir, files.flat_map { |file| Reader.new(file, environment, env).steps })
    end

    # Reads one file.
    def self.load_file(file, environment: nil, env: ENV)
      new(File.dirname(file), Reader.new(file, environment, env).steps)
    end

    def initialize(dir, steps)
      @dir = dir
      @steps = steps.freeze
    end

    # Parses a template into Ruby data with `${VAR}` and `${VAR:-default}` replaced inside scalars.
    # Only plain YAML types come out; what YAML would read as a date stays text.
    class Document
      def self.load(file, env)
        new(file, env).data
      end

      def initialize(file, env)
        @file = file
        @env = env
      end

      def data
        tree = Psych.parse(File.read(@file, encoding: Encoding::UTF_8), filename: @file)
        raise ConfigurationError, "#{@file}: the file is empty" unless tree

        tree.each { |node| prepare(node) if node.is_a?(Psych::Nodes::Scalar) }
        loader = Psych::ClassLoader::Restricted.new([], [])
        Psych::Visitors::ToRuby.new(Psych::ScalarScanner.new(loader), loader).accept(tree)
      rescue Psych::SyntaxError => e
        raise ConfigurationError, "#{@file}:#{e.line}: not valid YAML: #{e.problem} #{e.context}".strip
      rescue Psych::DisallowedClass, Psych::BadAlias => e
        raise ConfigurationError, "#{@file}: #{e.message}"
      rescue SystemCallError => e
        raise ConfigurationError, "cannot read #{@file}: #{e.message}"
      end

      private

      def prepare(node)
        node.value = interpolate(node) if node.value.include?('${')
        return unless node.plain && DATE_LIKE.match?(node.value)

        node.quoted = true
        node.plain = false
      end

      def interpolate(node)
        node.value.gsub(VARIABLE) do
          name = Regexp.last_match(1)
          default = Regexp.last_match(2)
          value = @env[name]
          value = default if !default.nil? && (value.nil? || value.empty?)
          value || raise(ConfigurationError,
                         "#{@file}:#{node.start_line + 1}: ${#{name}} is not set and has no default " \
                         "(write ${#{name}:-value} or set the variable)")
        end
      end
    end

    # One file → its TemplateSteps.
    class Reader
      def initialize(file, environment, env)
        @file = file
        @environment = environment
        @data = Document.load(file, env)
        refuse('', 'must be a map') unless @data.is_a?(Hash)
      end

      def steps
        common = { file: @file, namespace: text(@data, 'namespace_name', ''), task: text(@data, 'name', ''),
                   version: text(@data, 'version', '') }
        list = @data['step_templates']
        refuse('step_templates', 'must be a list') unless list.is_a?(Array)
        overrides = overrides_by_step
        list.each_with_index.map do |step, index|
          path = "step_templates[#{index}]"
          refuse(path, 'must be a map') unless step.is_a?(Hash)
          name = text(step, 'name', "#{path}.")
          read_step(common, name, step, overrides[name] || {}, path)
        end
      end

      private

      def read_step(common, name, step, override, path)
        merged = step.merge(override.except('name', 'handler_class', 'handler_config'))
        TemplateStep.new(
          **common, name: name, handler_class: text(step, 'handler_class', "#{path}."),
                    handler_config: config_of(step, override, path),
                    depends_on: Array(step['depends_on_steps']) + Array(step['depends_on_step']),
                    retryable: merged.fetch('default_retryable', true),
                    retry_limit: number(merged, 'default_retry_limit', DEFAULT_RETRY_LIMIT, path).to_i,
                    timeout_ms: (number(merged, 'timeout_seconds', DEFAULT_TIMEOUT_S, path) * 1000).round
        ).freeze
      end

      def number(map, key, default, path)
        value = map[key].nil? ? default : map[key]
        Float(value)
      rescue ArgumentError, TypeError
        refuse("#{path}.#{key}", "must be a number, got #{value.inspect}")
      end

      def text(map, key, path)
        value = map[key]
        value = value.to_s if value.is_a?(Numeric)
        unless value.is_a?(String) && !value.empty?
          refuse("#{path}#{key}",
                 value.nil? ? 'is required' : 'must be text')
        end
        value
      end

      # Both dialects: environments.<env>.step_templates is a list, step_overrides a map.
      def overrides_by_step
        chosen = (@data['environments'] || {})[@environment] if @environment
        return {} unless chosen.is_a?(Hash)

        result = (chosen['step_overrides'] || {}).to_h
        Array(chosen['step_templates']).each do |step|
          next unless step.is_a?(Hash) && step['name']

          result[step['name']] = (result[step['name']] || {}).merge(step)
        end
        result
      end

      # An override replaces single keys of the step's own handler_config.
      def config_of(step, override, path)
        own = step['handler_config'] || {}
        over = override['handler_config'] || {}
        refuse("#{path}.handler_config", 'must be a map') unless own.is_a?(Hash) && over.is_a?(Hash)
        deep_freeze(own.merge(over))
      end

      def deep_freeze(value)
        case value
        when Hash then value.each_value { |item| deep_freeze(item) }
        when Array then value.each { |item| deep_freeze(item) }
        end
        value.freeze
      end

      def refuse(field, reason)
        place = field.empty? ? 'the template' : field
        raise ConfigurationError, "#{@file}: #{place} #{reason}"
      end
    end
  end
end
