# frozen_string_literal: true

require_relative 'yaml_text'

module TaskerWorker
  # Task templates, as far as a worker needs them: for the check at its start (`--templates`), and for tests.
  # What a handler gets comes with each step, never from here. The orchestrator validates templates completely
  # (`tasker template check`); here only what is read is checked, and complaints name file and field.
  class Templates
    TemplateStep = Struct.new(:file, :namespace, :task, :version, :name, :handler_class, :handler_config,
                              :depends_on, :results_from, :retryable, :retry_limit, :max_snoozes,
                              :timeout_ms, keyword_init: true)
    DEFAULT_RETRY_LIMIT = 3
    DEFAULT_MAX_SNOOZES = 1000
    DEFAULT_TIMEOUT_S = 30

    # +schema+: of the context; nil when the (one) template has none.
    attr_reader :steps, :dir, :schema

    # The names and handler classes of all *.yaml and *.yml files directly in +dir+, sorted; hidden ones are
    # left out. Variables that are not set here stay as they stand. Raises ConfigurationError.
    def self.load(dir, environment: nil, env: ENV)
      raise ConfigurationError, "--templates: #{dir} is not a directory" unless File.directory?(dir)

      files = Dir.children(dir).reject { |name| name.start_with?('.') }
                 .grep(/\.ya?ml\z/).sort.map { |name| File.join(dir, name) }
      files.reject! { |file| File.directory?(file) }
      raise ConfigurationError, "--templates: #{dir} holds no *.yaml file" if files.empty?

      new(dir, files.flat_map { |file| Reader.new(file, environment, env).classes })
    end

    # Reads all of one file: what the orchestrator would make of it, with this environment.
    def self.load_file(file, environment: nil, env: ENV)
      reader = Reader.new(file, environment, env)
      new(File.dirname(file), reader.steps, schema: reader.schema)
    end

    def initialize(dir, steps, schema: nil)
      @dir = dir
      @steps = steps.freeze
      @schema = schema
    end

    def handler_classes = steps.map(&:handler_class).uniq.sort

    # One file → its TemplateSteps.
    class Reader
      def initialize(file, environment, env)
        @file = file
        @environment = environment
        @env = env
        @tree = guarded { YamlText.read(file) }
        refuse('', 'must be a map') unless @tree.is_a?(Hash)
      end

      # The steps with nothing but their names, handler classes, and configurations (for secret references).
      def classes
        each_step do |step, override, path|
          TemplateStep.new(file: @file, name: spelling(step, 'name', path, lenient: true),
                           handler_class: handler_class(step, override, path, lenient: true),
                           handler_config: as_written(step).merge(as_written(override))).freeze
        end
      end

      def steps
        common = { file: @file, namespace: spelling(@tree, 'namespace_name', ''),
                   task: spelling(@tree, 'name', '').split('/', 2).last,
                   version: spelling(@tree, 'version', '') }
        each_step { |step, override, path| read_step(common, step, override, path) }
      end

      def schema
        found = @tree['schema'] && data(@tree['schema'])
        refuse('schema', 'must be a map') unless found.nil? || found.is_a?(Hash)
        found
      end

      private

      # Calls the block with (step, its override, its place) and returns what that returned.
      def each_step
        list = @tree['step_templates']
        refuse('step_templates', 'must be a list') unless list.is_a?(Array)
        overrides = overrides_by_step
        list.each_with_index.map do |step, index|
          path = "step_templates[#{index}]"
          refuse(path, 'must be a map') unless step.is_a?(Hash)
          yield step, overrides[spelling(step, 'name', path, lenient: true)] || {}, path
        end
      end

      def read_step(common, step, override, path)
        config = deep_merge(map_of(step, 'handler_config', path), map_of(override, 'handler_config', path))
        aliases = { 'default_retryable' => override['retryable'],
                    'default_retry_limit' => override['retry_limit'] }
        merged = step.merge(override).merge(aliases.compact)
        TemplateStep.new(
          **common, name: spelling(step, 'name', path), handler_class: handler_class(step, override, path),
                    handler_config: config,
                    depends_on: dependencies(step, path, 'depends_on_step', 'depends_on_steps'),
                    results_from: dependencies(step, path, 'results_from'),
                    retryable: merged.key?('default_retryable') ? data(merged['default_retryable']) : true,
                    retry_limit: number(merged, 'default_retry_limit', DEFAULT_RETRY_LIMIT, path).to_i,
                    max_snoozes: number(merged, 'max_snoozes', DEFAULT_MAX_SNOOZES, path).to_i,
                    timeout_ms: (number(merged, 'timeout_seconds', DEFAULT_TIMEOUT_S, path) * 1000).round
        ).freeze
      end

      def handler_class(step, override, path, lenient: false)
        spelling(override.key?('handler_class') ? override : step, 'handler_class', path, lenient: lenient)
      end

      def dependencies(step, path, *keys)
        step.values_at(*keys).compact.flat_map do |value|
          Array(value.is_a?(YamlText::Scalar) ? [value] : value).map do |item|
            guarded { YamlText.spelling(item, @env) } || refuse("#{path}.#{keys.last}", 'must hold names')
          end
        end
      end

      def number(map, key, default, path)
        text = map[key] ? guarded { YamlText.spelling(map[key], @env) } : default
        Float(text)
      rescue ArgumentError, TypeError
        refuse("#{path}.#{key}", 'must be a number')
      end

      # +lenient+: a variable that is not set here stays as it stands.
      def spelling(map, key, path, lenient: false)
        text = guarded { YamlText.spelling(map[key], lenient && unset?(map[key]) ? nil : @env) }
        return text unless text.nil? || text.empty?

        refuse([path, key].reject(&:empty?).join('.'), map[key].nil? ? 'is required' : 'must be text')
      end

      def unset?(node)
        YamlText.spelling(node, @env) && false
      rescue YamlText::Refused
        true
      end

      # Variables stay as they stand.
      def as_written(step)
        found = step['handler_config'] && guarded { YamlText.data(step['handler_config']) }
        found.is_a?(Hash) ? found : {}
      end

      def map_of(step, key, path)
        return {} unless step.key?(key)

        found = data(step[key])
        refuse("#{path}.#{key}", 'must be a map') unless found.is_a?(Hash)
        found
      end

      # Both dialects: environments.<env>.step_templates is a list, step_overrides a map.
      def overrides_by_step
        chosen = @environment && @tree['environments'].is_a?(Hash) && @tree['environments'][@environment]
        return {} unless chosen.is_a?(Hash)

        listed = Array(chosen['step_templates']).grep(Hash)
        by_name = listed.to_h { |step| [YamlText.spelling(step['name']), step] }
        mapped = chosen['step_overrides'].is_a?(Hash) ? chosen['step_overrides'] : {}
        by_name.merge(mapped).select { |_, override| override.is_a?(Hash) }
      end

      # Maps are merged key by key, everything else is replaced.
      def deep_merge(own, over)
        own.merge(over) do |_, old, new|
          old.is_a?(Hash) && new.is_a?(Hash) ? deep_merge(old, new) : new
        end.freeze
      end

      def data(tree) = guarded { YamlText.data(tree, @env) }

      def guarded
        yield
      rescue YamlText::Refused => e
        raise ConfigurationError, "#{@file}: #{e.message}"
      end

      def refuse(field, reason)
        place = field.empty? ? 'the template' : field
        raise ConfigurationError, "#{@file}: #{place} #{reason}"
      end
    end
  end
end
