# frozen_string_literal: true

module TaskerWorker
  # Checks a task's context against its template's schema (JSON Schema draft 7), for the test helpers. The
  # orchestrator checks each context when a task is submitted; a test that runs on a context which no task can
  # have proves nothing. `format` is no constraint here.
  class ContextSchema
    PROBLEMS_MAX = 20
    SHOWN_CHARS = 200
    TYPES = {
      'object' => ->(value) { value.is_a?(Hash) }, 'array' => ->(value) { value.is_a?(Array) },
      'string' => ->(value) { value.is_a?(String) }, 'boolean' => ->(value) { [true, false].include?(value) },
      'null' => lambda(&:nil?), 'number' => ->(value) { value.is_a?(Numeric) },
      'integer' => ->(value) { value.is_a?(Integer) || (value.is_a?(Float) && value == value.floor) }
    }.freeze
    # keyword → [what it applies to, how the value must relate to the limit, words]
    LIMITS = {
      'maximum' => ['number', ->(value, limit) { value <= limit }, 'must be at most %s'],
      'exclusiveMaximum' => ['number', ->(value, limit) { value < limit }, 'must be below %s'],
      'minimum' => ['number', ->(value, limit) { value >= limit }, 'must be at least %s'],
      'exclusiveMinimum' => ['number', ->(value, limit) { value > limit }, 'must be above %s'],
      'multipleOf' => ['number', ->(value, limit) { multiple?(value, limit) }, 'must be a multiple of %s'],
      'maxLength' => ['string', ->(value, limit) { value.length <= limit }, 'must have at most %s letters'],
      'minLength' => ['string', ->(value, limit) { value.length >= limit }, 'must have at least %s letters'],
      'pattern' => ['string', ->(value, limit) { matches?(limit, value) }, 'must match %s'],
      'maxItems' => ['array', ->(value, limit) { value.size <= limit }, 'must have at most %s items'],
      'minItems' => ['array', ->(value, limit) { value.size >= limit }, 'must have at least %s items'],
      'maxProperties' => ['object', ->(value, limit) { value.size <= limit }, 'must have at most %s keys'],
      'minProperties' => ['object', ->(value, limit) { value.size >= limit }, 'must have at least %s keys']
    }.freeze

    # A schema that cannot be used.
    class Unusable < Error; end

    # What is wrong with a value, each with its path; empty when it fits. Raises Unusable.
    def self.problems(schema, value)
      new(schema).run(schema, value, '').first(PROBLEMS_MAX)
    rescue SystemStackError, RegexpError, KeyError, TypeError, NoMethodError => e
      cause = e.message.lines.first.to_s.chomp[0, SHOWN_CHARS]
      raise Unusable, "the schema cannot be used: #{e.class}: #{cause}"
    end

    def self.multiple?(value, limit)
      return (value % limit).zero? if value.is_a?(Integer) && limit.is_a?(Integer)

      quotient = value.fdiv(limit)
      (quotient - quotient.round).abs < 1e-9
    end

    # In the dialect of schemas ^ and $ are the ends of the text.
    def self.matches?(pattern, text)
      ends = { '^' => '\A', '$' => '\z' }
      Regexp.new(pattern.gsub(/\\.|\[(?:\\.|[^\]])*\]|[$^]/m) { |part| ends[part] || part }).match?(text)
    end

    def initialize(root)
      @root = root
    end

    def run(schema, value, path)
      return schema ? [] : [at(path, 'is not allowed')] if [true, false].include?(schema)
      # It hides all beside it.
      return run(resolved(schema['$ref']), value, path) if schema.key?('$ref')

      found = values(schema, value, path) + limits(schema, value, path)
      found += object(schema, value, path) if value.is_a?(Hash)
      found += array(schema, value, path) if value.is_a?(Array)
      found + combined(schema, value, path)
    end

    private

    def at(path, problem) = "#{path.empty? ? 'the context' : path} #{problem}"

    def fits?(schema, value) = run(schema, value, '').empty?

    def resolved(reference)
      reference.delete_prefix('#').split('/').drop(1).reduce(@root) do |node, token|
        token = token.gsub('~1', '/').gsub('~0', '~')
        node.is_a?(Array) ? node.fetch(Integer(token)) : node.fetch(token)
      end
    end

    def values(schema, value, path)
      found = []
      types = Array(schema['type'])
      unless types.empty? || types.any? { |name| TYPES.fetch(name).call(value) }
        found << at(path, "must be of type #{types.join(' or ')}")
      end
      if schema.key?('enum') && schema['enum'].none? { |one| one == value }
        found << at(path, "must be one of #{shown(schema['enum'])}")
      end
      if schema.key?('const') && schema['const'] != value
        found << at(path, "must be #{shown(schema['const'])}")
      end
      found
    end

    def shown(value) = JSON.generate(value)[0, SHOWN_CHARS]

    def limits(schema, value, path)
      LIMITS.filter_map do |keyword, (kind, fits, words)|
        next unless schema.key?(keyword) && TYPES[kind].call(value)

        limit = schema[keyword]
        at(path, format(words, limit)) unless self.class.instance_exec(value, limit, &fits)
      end
    end

    def object(schema, value, path)
      dot = path.empty? ? '' : "#{path}."
      found = (schema['required'] || []).reject { |name| value.key?(name) }
                                        .map { |name| at(dot + name, 'is missing') }
      value.each do |key, item|
        schemas_of(schema, key).each { |one| found += run(one, item, dot + key) }
        found += run(schema.fetch('propertyNames', true), key, dot + key)
      end
      found + dependencies(schema, value, path, dot)
    end

    def schemas_of(schema, key)
      patterns = (schema['patternProperties'] || {}).select { |pattern, _| self.class.matches?(pattern, key) }
      found = [*(schema['properties'] || {}).slice(key).values, *patterns.values]
      found.empty? ? [schema.fetch('additionalProperties', true)] : found
    end

    def dependencies(schema, value, path, dot)
      (schema['dependencies'] || {}).slice(*value.keys).flat_map do |key, needed|
        next run(needed, value, path) unless needed.is_a?(Array)

        needed.reject { |name| value.key?(name) }.map { |name| at(dot + name, "is missing beside #{key}") }
      end
    end

    def array(schema, value, path)
      items = schema.fetch('items', true)
      found = value.each_with_index.flat_map do |item, index|
        one = items
        one = items.fetch(index) { schema.fetch('additionalItems', true) } if items.is_a?(Array)
        run(one, item, "#{path}[#{index}]")
      end
      twice = value.each_with_index.any? { |item, index| value.first(index).include?(item) }
      found << at(path, 'must not hold the same item twice') if schema['uniqueItems'] && twice
      if schema.key?('contains') && value.none? { |item| fits?(schema['contains'], item) }
        found << at(path, 'holds no item as it is wanted')
      end
      found
    end

    def combined(schema, value, path)
      found = (schema['allOf'] || []).flat_map { |one| run(one, value, path) }
      if schema.key?('anyOf') && schema['anyOf'].none? { |one| fits?(one, value) }
        found << at(path, 'fits none of the schemas of anyOf')
      end
      if schema.key?('oneOf') && schema['oneOf'].count { |one| fits?(one, value) } != 1
        found << at(path, 'must fit exactly one of the schemas of oneOf')
      end
      found << at(path, 'fits the schema of not') if schema.key?('not') && fits?(schema['not'], value)
      return found unless schema.key?('if')

      found + run(schema.fetch(fits?(schema['if'], value) ? 'then' : 'else', true), value, path)
    end
  end
end
