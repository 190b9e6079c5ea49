# frozen_string_literal: true

module TaskerWorker
  module Wire
    # One ZeroMQ frame per message: `<topic> <JSON object>`; the first space ends the topic.
    module Frame
      WORKERS = 'workers '
      RESULTS = 'results '
      SESSION_TOPIC = /\A(steps|control)\.[0-9a-f]{16}\z/
      KINDS = { 'workers' => :workers, 'results' => :results, 'steps' => :plain_steps }.freeze
      TO_ORCHESTRATOR = %i[workers results].freeze
      REPORTS = %w[partial_result batch_completion step_batch_response].freeze

      module_function

      # Topics include the trailing space: subscriptions are byte prefixes.
      def steps_topic(session) = "steps.#{session} "
      def control_topic(session) = "control.#{session} "

      # Returns [topic without its space, body]; raises DecodeError when there is no topic.
      def split(frame)
        space = frame.index(' ')
        raise DecodeError.new('bad_frame', 'the frame has no space after its topic') if space.nil?
        raise DecodeError.new('bad_frame', 'the topic is empty') if space.zero?

        [frame.byteslice(0, space), frame.byteslice(space + 1, frame.bytesize)]
      end

      # :workers, :results, :plain_steps, :steps or :control; nil for a topic this protocol does not have.
      def kind(topic)
        KINDS[topic] || SESSION_TOPIC.match(topic)&.[](1)&.to_sym
      end

      # Whether messages of +type+ travel on topics of this kind.
      def belongs?(kind, type)
        case kind
        when :results then REPORTS.include?(type)
        when :workers then !REPORTS.include?(type)
        when :plain_steps then type == 'step_batch_request'
        when :steps then %w[step_batch_request probe].include?(type)
        else !%w[step_batch_request probe].include?(type)
        end
      end
    end
  end
end
