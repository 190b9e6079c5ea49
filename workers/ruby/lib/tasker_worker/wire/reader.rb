# frozen_string_literal: true

module TaskerWorker
  module Wire
    # Reads what the orchestrator sends, within the limits that it has announced. A batch over a limit is
    # read all the same, up to twice the limit, so that its steps can be handed back as too_large.
    class Reader
      BATCH = 'step_batch_request'

      def initialize
        announce(batch_bytes: Codec::BATCH_BYTES_MAX, depth: Codec::DEPTH_MAX)
      end

      # +batch_bytes+, +depth+: `limits` of a welcome. What is doubled is never less than the default.
      def announce(batch_bytes:, depth:)
        @batch_bytes = batch_bytes
        bytes_max = 2 * [batch_bytes, Codec::BATCH_BYTES_MAX].max
        @within = codec(bytes_max, depth)
        @beyond = codec(bytes_max, 2 * [depth, Codec::DEPTH_MAX].max)
      end

      # +body+: a frame without its topic. Returns [message, whether it is a batch over a limit]; raises
      # DecodeError, also for any other message over a limit.
      def read(body)
        message = @within.decode(body)
        over = body.bytesize > @batch_bytes
        too_large(body) if over && message.type != BATCH
        [message, over]
      rescue DecodeError => e
        raise unless e.code == 'too_deep'

        [deeper_batch(body, e), true]
      end

      private

      def codec(bytes_max, depth) = Codec.new(Messages::TO_WORKER, bytes_max, depth_max: depth)

      # A second reading costs only those who exceed the limit.
      def deeper_batch(body, first_error)
        message = @beyond.decode(body)
        raise first_error unless message.type == BATCH

        message
      end

      def too_large(body)
        raise DecodeError.new('too_large', "#{body.bytesize} bytes, limit #{@batch_bytes}")
      end
    end
  end
end
