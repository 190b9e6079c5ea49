# frozen_string_literal: true

module TaskerWorker
  # Builds the frames a worker sends about batches. The frequent ones are put together from text that
  # is already JSON: an output is encoded once, where it was made, and never parsed again.
  class Reports
    HEAD = %("protocol_version":"#{Wire::Messages::PROTOCOL_VERSION}","batch_id":).freeze
    PARTIAL = %(#{Wire::Frame::RESULTS}{"message_type":"partial_result",#{HEAD}).freeze
    COMPLETION = %(#{Wire::Frame::RESULTS}{"message_type":"batch_completion",#{HEAD}).freeze
    REJECTED = %(#{Wire::Frame::WORKERS}{"message_type":"batch_rejected",#{HEAD}).freeze
    ACCEPTED = %(#{Wire::Frame::WORKERS}{"message_type":"batch_accepted",#{HEAD}).freeze

    SENT_BY = ',"sent_by":"'
    # Of a whole `sent_by` member with the bracket behind it. No other report ends with a quoted text.
    SENT_BY_BYTES = SENT_BY.bytesize + 16 + 2

    # The session that speaks now.
    attr_accessor :session

    # +frame+ as session +id+ sends it: a report about an earlier session's batch with `sent_by` at its
    # end. A hand-back has no such field and goes out unchanged.
    def self.sent_by(frame, id)
      return frame unless frame.start_with?(Wire::Frame::RESULTS)

      tail = frame.byteslice(-SENT_BY_BYTES, SENT_BY.bytesize) == SENT_BY ? SENT_BY_BYTES : 1
      head = frame.byteslice(0, frame.bytesize - tail)
      "#{head}#{SENT_BY}#{id}\"}"
    end

    # +frame+ in the name of the session that speaks now.
    def in_name(batch, frame)
      batch.session == @session ? frame : self.class.sent_by(frame, @session)
    end

    def initialize(worker_id, session)
      @worker = %(,"worker_id":#{JSON.generate(worker_id)})
      @session = session
    end

    def accepted(batch)
      %(#{ACCEPTED}#{batch.id_json},"session":"#{batch.session}"})
    end

    # +rejections+: [[step_id, attempt, reason], …]. +details+: what goes with each of them.
    def rejected(batch, sequence, rejections, details = {})
      more = details.map { |name, value| %(,"#{name}":#{JSON.generate(value)}) }.join
      steps = rejections.map do |step_id, attempt, reason|
        %({"step_id":#{step_id},"attempt":#{attempt},"reason":"#{reason}"#{more}})
      end
      %(#{REJECTED}#{batch.id_json},"session":"#{batch.session}","sequence":#{sequence},) +
        %("steps":[#{steps.join(',')}]})
    end

    def partial(attempt, sequence, outcome)
      batch = attempt.batch
      %(#{PARTIAL}#{batch.id_json},"step_id":#{attempt.step_id},"attempt":#{attempt.number},) +
        %("status":"#{outcome.status}"#{output_json(outcome)}#{@worker},"session":"#{batch.session}",) +
        %("sequence":#{sequence},"timestamp":"#{Clock.timestamp}",) +
        %("execution_time_ms":#{outcome.execution_ms}})
    end

    def completion(batch, sequence, now)
      completed = batch.summaries.count { |summary| summary.status == 'completed' }
      total = batch.summaries.size
      frame = +COMPLETION
      frame << batch.id_json << %(,"total_steps":#{total},"completed_steps":#{completed})
      frame << %(,"failed_steps":#{total - completed},"in_progress_steps":0,"step_summaries":[)
      frame << batch.summaries.map { |summary| summary_json(summary) }.join(',')
      frame << %(],"total_execution_time_ms":#{batch.age_ms(now)},"completed_at":"#{Clock.timestamp}")
      frame << @worker << %(,"session":"#{batch.session}") << ',"sequence":' << sequence.to_s << '}'
    end

    private

    def output_json(outcome)
      return %(,"error":#{JSON.generate(outcome.error)}) if outcome.error

      outcome.output_json ? %(,"output":#{outcome.output_json}) : ''
    end

    def summary_json(summary)
      %({"step_id":#{summary.step_id},"attempt":#{summary.attempt},"final_status":"#{summary.status}",) +
        %("execution_time_ms":#{summary.execution_ms}#{@worker}})
    end
  end
end
