# frozen_string_literal: true

module TaskerWorker
  # Encodes what a handler returned. Stricter than JSON.generate, which would send `to_s` of any
  # object and so turn a forgotten conversion into a silent wrong result.
  module Output
    # The output cannot be JSON; the message says where and why.
    class Unserialisable < Error; end

    # One level is the message around the output.
    DEPTH_MAX = Wire::Codec::DEPTH_MAX - 1
    GENERATOR = { max_nesting: DEPTH_MAX }.freeze

    module_function

    # Returns JSON text (UTF-8); raises Unserialisable.
    def encode(value)
      # The walk with paths allocates at each level, so it runs only to name what is wrong.
      check(value, [], 0) unless plain?(value, 0)
      JSON.generate(value, GENERATOR)
    rescue JSON::GeneratorError, EncodingError => e
      raise Unserialisable, "output: #{ErrorReport.text(e.message)[0, 200]}"
    end

    def plain?(value, depth)
      case value
      when String then plain_text?(value)
      when Symbol then plain_text?(value.name)
      when Integer, true, false, nil then true
      when Float then value.finite?
      when Hash
        depth < DEPTH_MAX &&
          value.all? { |key, item| plain_key?(key) && plain?(item, depth + 1) }
      when Array then depth < DEPTH_MAX && value.all? { |item| plain?(item, depth + 1) }
      else false
      end
    end

    def plain_key?(key)
      key.is_a?(String) ? plain_text?(key) : key.is_a?(Symbol) && plain_text?(key.name)
    end

    def plain_text?(text)
      text.ascii_only? || (text.encoding != Encoding::BINARY && text.valid_encoding?)
    end

    def check(value, path, depth)
      case value
      when String, Symbol then check_text(value, path)
      when Integer, true, false, nil then nil
      when Float then refuse(path, "#{value} has no JSON form") unless value.finite?
      when Hash then check_hash(value, path, depth)
      when Array
        too_deep(path) if depth >= DEPTH_MAX
        value.each_with_index { |item, index| check(item, path + [index], depth + 1) }
      else
        refuse(path, "#{value.class} is not a JSON type; convert it to a Hash, Array, String or number")
      end
    end

    def check_hash(value, path, depth)
      too_deep(path) if depth >= DEPTH_MAX
      value.each do |key, item|
        unless key.is_a?(String) || key.is_a?(Symbol)
          refuse(path, "keys must be strings or symbols, got #{key.class} #{key.inspect[0, 40]}")
        end
        check_text(key, path)
        check(item, path + [key], depth + 1)
      end
    end

    def check_text(value, path)
      text = value.to_s
      return if plain_text?(text)

      refuse(path, text.encoding == Encoding::BINARY ? 'a string is binary' : 'a string is not valid UTF-8')
    end

    def too_deep(path)
      refuse(path.first(4), "nested deeper than #{DEPTH_MAX} levels")
    end

    def refuse(path, reason)
      place = path.map { |part| part.is_a?(Integer) ? "[#{part}]" : ".#{part}" }.join
      raise Unserialisable, "output#{place}: #{reason}"
    end
  end
end
