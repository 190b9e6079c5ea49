# frozen_string_literal: true

require 'json'

module TaskerWorker
  module Wire
    # A decoded message: its type (snake_case) and its known fields, absent ones left out. Frozen.
    Message = Struct.new(:type, :fields) do
      def [](name) = fields[name]
    end

    # A number with fraction or exponent. What is too large for a Float arrives as the whole number that it
    # is, never as Infinity; beyond the Floats there are 309 digits before the point, so what stands behind
    # it is cut off. JSON.parse calls it through `decimal_class`.
    module LongNumber
      # What PostgreSQL's numeric holds before the point; no number of a stored document is longer.
      DIGITS_MAX = 131_072
      PARTS = /\A(-?)(\d+)(?:\.(\d+))?(?:[eE]([+-]?\d+))?\z/

      def self.try_convert(text)
        value = text.to_f
        return value if value.finite?

        sign, whole, fraction, exponent = PARTS.match(text).captures
        digits = exponent.to_s.length < 20 ? whole.length + exponent.to_i : DIGITS_MAX + 1
        too_long if digits > DIGITS_MAX
        Integer("#{sign}#{"#{whole}#{fraction}"[0, digits].ljust(digits, '0')}", 10)
      end

      def self.too_long
        raise DecodeError.new('out_of_range', "a number has more than #{DIGITS_MAX} digits")
      end
    end

    # JSON text ↔ Message, both directions, driven by the tables of Messages. Strict about form (the
    # whole text must be valid JSON, UTF-8 and within the limits), lenient about additions.
    class Codec
      BATCH_BYTES_MAX = 16 * 1024 * 1024
      RESULT_BYTES_MAX = 1024 * 1024
      INVENTORY_BYTES_MAX = 4 * 1024 * 1024
      # Room for what stands around a result of the largest size.
      ENVELOPE_BYTES_MAX = 256 * 1024
      DEPTH_MAX = 64
      # JSON's own escapes; Ruby's parser would silently take "\x" for "x".
      LEGAL_ESCAPES = %r{\A[^\\]*(?:\\["\\/bfnrtu][^\\]*)*\z}
      STRINGS = /"(?:[^"\\]|\\.)*"/m
      # Only where one of these stands a number may be too large for a Float, or too long for anything.
      # A run of digits is looked at from its beginning only, so that the search stays linear.
      LONG = /[eE]\+?\d{3}|(?<!\d)\d{200}/
      LONG_RUN = /(?<!\d)\d{200,}/
      VERSION_1 = /\A1\.\d+\z/

      def self.to_worker = new(Messages::TO_WORKER, BATCH_BYTES_MAX)
      def self.to_orchestrator = new(Messages::TO_ORCHESTRATOR, RESULT_BYTES_MAX + ENVELOPE_BYTES_MAX)

      def initialize(records, bytes_max, depth_max: DEPTH_MAX)
        @records = records
        @bytes_max = bytes_max
        @parse_options = { max_nesting: depth_max, create_additions: false, freeze: true }.freeze
        @long_options = @parse_options.merge(decimal_class: LongNumber).freeze
        @pascal = records.keys.to_h { |name| [name.split('_').map(&:capitalize).join, name] }.freeze
      end

      # +body+ is a frame without its topic; returns a Message or raises DecodeError.
      def decode(body)
        raw = parse(body)
        # The version first: a later one may well have other types.
        check_version(raw['protocol_version'])
        type = type_of(raw['message_type'])
        fields = @records.fetch(type).read(raw)
        fields['message_type'] = type
        Message.new(type, fields.freeze).freeze
      end

      # The JSON text of a message; fields that are nil are left out.
      def self.encode(type, fields)
        JSON.generate({ 'message_type' => type,
                        'protocol_version' => Messages::PROTOCOL_VERSION }.merge!(fields.compact))
      end

      private

      def parse(body)
        if body.bytesize > @bytes_max
          raise DecodeError.new('too_large',
                                "#{body.bytesize} bytes, limit #{@bytes_max}")
        end

        text = body.encoding == Encoding::UTF_8 ? body : body.dup.force_encoding(Encoding::UTF_8)
        raise DecodeError.new('invalid_utf8', 'the message is not valid UTF-8') unless text.valid_encoding?

        raw = JSON.parse(text, options_for(text))
        check_leniencies(text)
        raise DecodeError.new('wrong_type', 'a message must be a JSON object') unless raw.is_a?(Hash)

        raw
      rescue JSON::NestingError
        raise DecodeError.new('too_deep', "JSON is nested deeper than #{@parse_options[:max_nesting]} levels")
      rescue JSON::ParserError => e
        raise DecodeError.new('malformed_json', e.message[0, 200].scrub)
      end

      # Converting millions of digits would hold the whole process up.
      def options_for(text)
        return @parse_options unless LONG.match?(text)

        LongNumber.too_long if too_long?(text) && too_long?(text.gsub(STRINGS, ''))
        @long_options
      end

      def too_long?(text)
        text.scan(LONG_RUN).any? { |digits| digits.length > LongNumber::DIGITS_MAX }
      end

      # What Ruby's parser accepts although JSON does not: comments and unknown escapes. Both need a
      # character that is rare in messages, so most texts pass with one search each.
      def check_leniencies(text)
        if text.include?('\\') && !LEGAL_ESCAPES.match?(text)
          raise DecodeError.new('malformed_json', 'a string holds an escape that JSON does not know')
        end
        return unless text.include?('/') && text.gsub(STRINGS, '').include?('/')

        raise DecodeError.new('malformed_json', 'JSON has no comments')
      end

      def type_of(given)
        raise DecodeError.new('missing_field', 'is required', field: 'message_type') if given.nil?
        unless given.is_a?(String)
          raise DecodeError.new('wrong_type', 'must be a string', field: 'message_type')
        end
        return given if @records.key?(given)

        @pascal[given] || raise(DecodeError.new('unknown_type', given.inspect[0, 80], field: 'message_type'))
      end

      def check_version(given)
        return if given.nil? || given == Messages::PROTOCOL_VERSION

        unless given.is_a?(String)
          raise DecodeError.new('wrong_type', 'must be a string',
                                field: 'protocol_version')
        end
        return if VERSION_1.match?(given)

        raise DecodeError.new('unsupported_version', "#{given.inspect[0, 40]}, this worker speaks 1.x",
                              field: 'protocol_version')
      end
    end
  end
end
