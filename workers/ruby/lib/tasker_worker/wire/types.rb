# frozen_string_literal: true

require 'dry-types'

module TaskerWorker
  module Wire
    # The types of everything that crosses a border of this process: wire messages, value objects,
    # settings. All are strict: nothing is coerced silently.
    module Types
      include Dry.Types()

      INT64_MAX = (2**63) - 1
      INT32_MAX = (2**31) - 1
      # The constraint of a type once more, as a plain Range or Regexp: the wire codec checks about
      # twenty fields per step, and a dry-types rule costs several times as much as its constraint.
      CONSTRAINTS = {}.compare_by_identity # -- filled below, then frozen

      def self.integer(range)
        type = Strict::Integer.constrained(gteq: range.begin, lteq: range.end)
        type.tap { CONSTRAINTS[type] = range }
      end

      def self.text(format)
        Strict::String.constrained(format: format).tap { |type| CONSTRAINTS[type] = format }
      end

      Text = Strict::String
      Name = text(/\A[^\0]+\z/)
      Uuid = text(/\A\h{8}-\h{4}-\h{4}-\h{4}-\h{12}\z/)
      SessionId = text(/\A[0-9a-f]{16}\z/)
      ReportStatus = text(/\A(?:in_progress|completed|failed|error)\z/)
      # RFC 3339; that the day exists is checked apart (Wire::Kind).
      Timestamp = text(/\A\d{4}-\d\d-\d\d[Tt](?:[01]\d|2[0-3]):[0-5]\d:(?:[0-5]\d|60)
                        (?:\.\d{1,9})?(?:[Zz]|[+-](?:[01]\d|2[0-3]):[0-5]\d)\z/x)
      Id = integer(1..INT64_MAX)
      PositiveMillis = Id
      Millis = integer(0..INT64_MAX)
      Count = integer(0..INT32_MAX)
      Ordinal = integer(1..INT32_MAX)
      # Zero or more, and within the Floats, as every receiver keeps it.
      Seconds = Strict::Integer.constrained(gteq: 0, lteq: ::Float::MAX.to_i) |
                Strict::Float.constrained(gteq: 0.0, lteq: ::Float::MAX)
      Flag = Strict::True | Strict::False
      Map = Strict::Hash
      List = Strict::Array
      Any = Nominal::Any
      CONSTRAINTS.freeze
    end
  end
end
