# frozen_string_literal: true

require 'base64'
require_relative '../tasker_worker'

module TaskerWorker
  # Shows that this SDK reads the wire as every other part does: decodes each golden vector with the
  # codec the worker uses and prints one JSON line per vector, {name, accept, canonical} or
  # {name, accept, code}. `canonical` is made from the message as this SDK would encode it again.
  module Conformance
    module_function

    # Prints the verdicts on all vectors of +dir+ (*.json, each an array). Returns the exit code.
    def run(argv, out: $stdout, err: $stderr)
      dir = argv.first
      if argv.size != 1 || !File.directory?(dir)
        err.puts 'usage: conformance VECTORS_DIR (a folder of *.json files, each an array of vectors)'
        return 2
      end
      Dir.glob(File.join(dir, '*.json')).each do |file|
        JSON.parse(File.read(file, encoding: Encoding::UTF_8), max_nesting: false).each do |vector|
          out.puts JSON.generate(verdict(vector), max_nesting: false)
        end
      end
      0
    end

    def verdict(vector)
      { name: vector.fetch('name'), accept: true, canonical: canonical(vector) }
    rescue Wire::DecodeError => e
      { name: vector.fetch('name'), accept: false, code: e.code }
    end

    def canonical(vector)
      frame = vector['frame_base64'] ? Base64.decode64(vector['frame_base64']) : vector.fetch('frame').b
      topic, body = Wire::Frame.split(frame)
      kind = Wire::Frame.kind(topic)
      to_orchestrator = vector.fetch('direction') == 'to_orchestrator'
      if kind.nil? || Wire::Frame::TO_ORCHESTRATOR.include?(kind) != to_orchestrator
        bad_frame('not a topic of this direction')
      end
      codec = to_orchestrator ? Wire::Codec.to_orchestrator : Wire::Codec.to_worker
      message = codec.decode(body)
      bad_frame('the message does not belong on this topic') unless Wire::Frame.belongs?(kind, message.type)
      again = codec.decode(Wire::Codec.encode(message.type, message.fields))
      # The encoder always names its version; the vectors keep it only where it was given.
      again.fields.slice('message_type', *message.fields.keys)
    end

    def bad_frame(reason)
      raise Wire::DecodeError.new('bad_frame', reason)
    end
  end
end
