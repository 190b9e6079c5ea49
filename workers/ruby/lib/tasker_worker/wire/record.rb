# frozen_string_literal: true

require 'date'

module TaskerWorker
  module Wire
    # A message or frame that cannot be understood. +code+ is one of the protocol's error codes
    # (bad_frame, invalid_utf8, malformed_json, unknown_type, missing_field, wrong_type,
    # unsupported_version, too_deep, too_large, out_of_range); +field+ is the path of the culprit.
    class DecodeError < Error
      attr_reader :code, :field, :reason

      def initialize(code, reason, field: nil)
        super(field ? "#{field}: #{reason}" : reason)
        @code = code
        @reason = reason
        @field = field
      end

      # The same error seen from one level further out. Paths are put together on the way out, because
      # keeping them on the way in would cost every correct message.
      def within(part)
        joint = field.nil? || field.start_with?('[') ? '' : '.'
        DecodeError.new(code, @reason, field: "#{part}#{joint}#{field}")
      end
    end

    # A type of the wire made from a dry-types type. dry-types alone would report only "does not fit";
    # the protocol distinguishes a wrong type from a value out of range, so the class of a value is
    # compared apart from the type's constraint.
    class Kind
      JSON_NAMES = { String => 'a string', Integer => 'an integer', Float => 'a number', Hash => 'an object',
                     Array => 'an array', TrueClass => 'true', FalseClass => 'false',
                     NilClass => 'null' }.freeze

      def initialize(type)
        @classes = type.equal?(Types::Any) ? nil : primitives(type)
        @single = @classes.first if @classes&.one?
        constraint = Types::CONSTRAINTS[type]
        @format = constraint if constraint.is_a?(Regexp)
        @range = constraint if constraint.is_a?(Range)
        @summed = type if type.respond_to?(:left)
        @time = type.equal?(Types::Timestamp)
      end

      # Returns the value; raises DecodeError.
      def check(value)
        return value if @classes.nil?

        # An exact class is the common case of JSON values and the cheapest comparison.
        right = @single ? value.instance_of?(@single) : @classes.any? { |klass| value.instance_of?(klass) }
        wrong_type(value) unless right
        out_of_range(value) unless fits?(value)
        value
      end

      private

      def fits?(value)
        return @format.match?(value) && (!@time || day?(value)) if @format
        return @range.cover?(value) if @range

        @summed.nil? || @summed.valid?(value)
      end

      def day?(time)
        Date.valid_date?(time[0, 4].to_i, time[5, 2].to_i, time[8, 2].to_i) && time[0, 4] != '0000'
      end

      def primitives(type)
        type.respond_to?(:left) ? primitives(type.left) + primitives(type.right) : [type.primitive]
      end

      def wrong_type(value)
        wanted = @classes.map { |klass| JSON_NAMES.fetch(klass) }.join(' or ')
        raise DecodeError.new('wrong_type', "must be #{wanted}, got #{JSON_NAMES.fetch(value.class)}")
      end

      def out_of_range(value)
        shown = value.inspect
        shown = "#{shown[0, 60]}…" if shown.length > 60
        raise DecodeError.new('out_of_range', "#{shown} is not allowed here")
      end
    end

    # One field of a record: its name, its type, whether it may be absent (absent and null mean the
    # same), and for nested data the record or the type of its elements. An optional list that is
    # empty (+drop_empty+) also counts as absent; a record with +keep+ is checked but passed on whole.
    class Field
      attr_reader :name, :required

      def initialize(name, type, required: true, record: nil, each: nil, drop_empty: false,
                     keep: false)
        @name = name.to_s.freeze
        @required = required
        @kind = Kind.new(type)
        @record = record
        @each = each && Kind.new(each)
        @drop_empty = drop_empty
        @keep = keep
      end

      # Returns the checked value, nested records reduced to their known fields; raises DecodeError.
      def read(value)
        @kind.check(value)
        return value unless @record || @each
        return read_record(value) if value.is_a?(Hash)
        return nil if @drop_empty && value.empty?

        read_list(value)
      rescue DecodeError => e
        raise e.within(@name)
      end

      private

      def read_record(value)
        known = @record.read(value)
        @keep ? value : known
      end

      def read_list(list)
        index = -1
        list.map do |item|
          index += 1
          @each ? @each.check(item) : @record.read(OBJECT.check(item))
        end
      rescue DecodeError => e
        raise e.within("[#{index}]")
      end

      OBJECT = Kind.new(Types::Map)
      private_constant :OBJECT
    end

    # The shape of a JSON object: which fields it knows. Unknown fields are dropped on reading.
    class Record
      attr_reader :fields

      def initialize(*fields)
        @fields = fields.freeze
      end

      # Returns a new Hash with the known, present fields of +raw+; raises DecodeError.
      def read(raw)
        result = {}
        @fields.each do |field|
          value = raw[field.name]
          value = field.read(value) unless value.nil?
          if !value.nil?
            result[field.name] = value
          elsif field.required
            raise DecodeError.new('missing_field', 'is required', field: field.name)
          end
        end
        result
      end
    end
  end
end
