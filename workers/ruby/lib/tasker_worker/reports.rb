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

    # The session that speaks now. Reports on a batch of an earlier session of this process name that
    # one in `session` and this one in `sent_by`.
    attr_accessor :session

    def initialize(worker_id, session)
      @worker = %(,"worker_id":#{JSON.generate(worker_id)})
      @session = session
    end

    def accepted(batch)
      %(#{ACCEPTED}#{batch.id_json},"session":"#{batch.session}"})
    end

    # +rejections+: [[step_id, attempt, reason], …].
    def rejected(batch, sequence, rejections)
      steps = rejections.map do |step_id, attempt, reason|
        %({"step_id":#{step_id},"attempt":#{attempt},"reason":"#{reason}"})
      end
      %(#{REJECTED}#{batch.id_json},"session":"#{batch.session}","sequence":#{sequence},) +
        %("steps":[#{steps.join(',')}]})
    end

    def partial(job, sequence, outcome)
      %(#{PARTIAL}#{job.batch.id_json},"step_id":#{job.step_id},"attempt":#{job.attempt},) +
        %("status":"#{outcome.status}"#{output_json(outcome)}#{@worker}#{speaker(job.batch)},) +
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
      frame << @worker << speaker(batch) << ',"sequence":' << sequence.to_s << '}'
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

    def speaker(batch)
      return %(,"session":"#{@session}") if batch.session == @session

      %(,"session":"#{batch.session}","sent_by":"#{@session}")
    end
  end
end
