# frozen_string_literal: true

require 'psych'

module TaskerWorker
  # Reads a YAML file as the orchestrator does: the types of YAML 1.2 by the spelling of a plain scalar (`no`,
  # `12:30` and dates are text), `${VAR}` inside scalars, and the same limits. A tree consists of Hash, Array
  # and Scalar; `data` makes plain values of it.
  module YamlText
    BYTES_MAX = 16 * 1024 * 1024
    # Aliases count as often as they are used.
    NODES_MAX = 500_000
    DEPTH_MAX = 48
    VARIABLE = /(\$)?\$\{([^}]*)(\}?)/
    NAME = /\A[A-Za-z_][A-Za-z0-9_]*\z/

    # A file that cannot be taken; the message names the line and quotes nothing of a file's content.
    class Refused < Error; end

    # A value before it has a type. +plain+: written without quotes, so its spelling decides.
    Scalar = Struct.new(:text, :plain, :line)

    module_function

    # The tree of the file +path+; raises Refused. Anything but a regular file could wait for ever.
    def read(path)
      stat = File.stat(path)
      raise Refused, 'it is no regular file' unless stat.file?
      raise Refused, "it is larger than #{BYTES_MAX} bytes" if stat.size > BYTES_MAX

      parse(File.binread(path, BYTES_MAX + 1) || '')
    rescue SystemCallError => e
      raise Refused, "it cannot be read: #{e.message.sub(/ @ .*/m, '')}"
    end

    # The tree of a text of bytes; raises Refused.
    def parse(bytes)
      raise Refused, "it is larger than #{BYTES_MAX} bytes" if bytes.bytesize > BYTES_MAX

      text = bytes.dup.force_encoding(Encoding::UTF_8)
      raise Refused, 'it is not valid UTF-8' unless text.valid_encoding?

      builder = Builder.new
      Psych::Parser.new(builder).parse(text)
      raise Refused, 'the file is empty' if builder.documents.zero?

      builder.root
    rescue Psych::SyntaxError => e
      raise Refused, "line #{e.line}: not valid YAML: #{e.problem}"
    end

    # Plain data of a tree, deeply frozen. +env+: where `${VAR}` comes from, nil to leave it as it stands.
    def data(tree, env = nil)
      case tree
      when Hash then tree.transform_values { |value| data(value, env) }.freeze
      when Array then tree.map { |value| data(value, env) }.freeze
      else typed(env ? interpolate(tree, env) : tree)
      end
    end

    # The spelling of a scalar, whatever its type; nil for anything else.
    def spelling(tree, env = nil)
      return nil unless tree.is_a?(Scalar)

      env ? interpolate(tree, env).text : tree.text
    end

    # `${NAME}` and `${NAME:-default}` are replaced; `$${` stands for `${`.
    def interpolate(scalar, env)
      return scalar unless scalar.text.include?('${')

      text = scalar.text.gsub(VARIABLE) do
        escaped, inner, closed = Regexp.last_match.captures
        next "${#{inner}#{closed}" if escaped
        raise Refused, "line #{scalar.line}: '${' is never closed" if closed.empty?

        value_of(inner, env, scalar.line)
      end
      Scalar.new(text, scalar.plain, scalar.line)
    end

    def value_of(inner, env, line)
      name, default = inner.split(':-', 2)
      unless NAME.match?(name.to_s)
        raise Refused, "line #{line}: a ${…} holds no name of an environment variable"
      end

      value = env[name]&.dup&.force_encoding(Encoding::UTF_8)
      unless value.nil? || value.valid_encoding?
        raise Refused,
              "line #{line}: the variable #{name} is not valid UTF-8"
      end

      value = default || '' if inner.include?(':-') && (value.nil? || value.empty?)
      value || raise(Refused, "line #{line}: ${#{name}} is not set and has no default " \
                              "(write ${#{name}:-value} or set the variable)")
    end

    INTEGER = /\A[+-]?\d+\z/
    NUMBER = /\A[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?\z/

    def typed(scalar)
      text = scalar.text
      return text.dup.freeze unless scalar.plain

      case text
      when '', '~', 'null', 'Null', 'NULL' then nil
      when 'true', 'True', 'TRUE' then true
      when 'false', 'False', 'FALSE' then false
      when INTEGER then number(Integer(text, 10), scalar) { |value| value.bit_length < 64 }
      when NUMBER then number(text.to_f, scalar, &:finite?)
      when /\A[+-]?\.(?:inf|Inf|INF|nan|NaN|NAN)\z/
        raise Refused, "line #{scalar.line}: a number has no form in JSON; put it in quotes to pass on text"
      else text.dup.freeze
      end
    end

    def number(value, scalar)
      return value if yield value

      raise Refused, "line #{scalar.line}: a number is out of range; put it in quotes to pass on text"
    end

    # Builds the tree from the parser's events, so that no limit is passed before it is noticed.
    class Builder < Psych::Handler
      Frame = Struct.new(:value, :anchor, :key, :merged, :nodes, :depth)
      # What an alias brings.
      Known = Struct.new(:value, :nodes, :depth)

      TYPED_TAGS = %w[int float bool null].map { |name| "tag:yaml.org,2002:#{name}" }.freeze
      TEXT_TAGS = ['!', 'tag:yaml.org,2002:str'].freeze
      COLLECTION_TAGS = { Hash => 'tag:yaml.org,2002:map', Array => 'tag:yaml.org,2002:seq' }.freeze

      attr_reader :root, :documents

      def initialize
        super
        @open = []
        @anchors = {}
        @documents = @line = @nodes = 0
      end

      def event_location(start_line, *)
        @line = start_line + 1
      end

      def start_document(*)
        refuse('a file holds exactly one YAML document') if (@documents += 1) > 1
      end

      def scalar(text, anchor, tag, *implicit, style)
        refuse('the text holds U+0000') if text.include?("\0")
        by_spelling = tag ? TYPED_TAGS.include?(tag) : implicit.first && style == Psych::Nodes::Scalar::PLAIN
        refuse('a tag is not supported') unless tag.nil? || by_spelling || TEXT_TAGS.include?(tag)
        return if take_key(text, by_spelling)

        count(1)
        add(Known.new(Scalar.new(text, by_spelling, @line), 1, 1), anchor)
      end

      def alias(name)
        known = @anchors[name] || refuse('an alias refers to a value that contains it')
        refuse('a key must be text') if awaits_key?
        count(known.nodes)
        too_deep if @open.size + known.depth > DEPTH_MAX
        add(known, nil)
      end

      def start_mapping(anchor, tag, *) = start({}, anchor, tag)
      def start_sequence(anchor, tag, *) = start([], anchor, tag)
      def end_sequence = finish

      # Merged keys come after the map's own, which win; of several merged maps the first wins.
      def end_mapping
        frame = @open.last
        frame.merged.each { |map| frame.value.replace(map.merge(frame.value)) }
        finish
      end

      private

      def start(value, anchor, tag)
        refuse('a tag is not supported') unless [nil, '!', COLLECTION_TAGS[value.class]].include?(tag)
        refuse('a key must be text') if awaits_key?
        too_deep if @open.size >= DEPTH_MAX
        count(1)
        @open << Frame.new(value, anchor, nil, [], 1, 1)
      end

      def finish
        frame = @open.pop
        add(Known.new(frame.value, frame.nodes, frame.depth), frame.anchor)
      end

      def awaits_key? = !@open.empty? && @open.last.value.is_a?(Hash) && @open.last.key.nil?

      def take_key(text, plain)
        return false unless awaits_key?

        merge = text == '<<' && plain
        refuse('a key is given twice in one map') if !merge && @open.last.value.key?(text)
        @open.last.key = merge ? :merge : text
        true
      end

      def add(known, anchor)
        @anchors[anchor] = known if anchor
        frame = @open.last
        return @root = known.value if frame.nil?

        frame.nodes += known.nodes
        frame.depth = [frame.depth, known.depth + 1].max
        return frame.value << known.value if frame.value.is_a?(Array)

        key = frame.key
        frame.key = nil
        key == :merge ? merge(frame, known.value) : frame.value[key] = known.value
      end

      def merge(frame, value)
        maps = value.is_a?(Array) ? value : [value]
        refuse("the value of '<<' must be a map or a list of maps") unless maps.all?(Hash)
        frame.merged.concat(maps)
      end

      def count(nodes)
        return unless (@nodes += nodes) > NODES_MAX

        refuse("the file holds more than #{NODES_MAX} values, aliases expanded")
      end

      def too_deep = refuse("values are nested deeper than #{DEPTH_MAX} levels")

      def refuse(reason)
        raise Refused, "line #{@line}: #{reason}"
      end
    end
  end
end
