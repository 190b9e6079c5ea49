# frozen_string_literal: true

module TaskerWorker
  # What a workload says of its steps. The orchestrator draws conclusions from what is missing, so the
  # lists are complete: each attempt stands in exactly one of held, running and unacked.
  module Inventory
    # What hello and ready say of this worker's steps: each attempt in exactly one of three lists.
    def inventory
      held, running = live_jobs.partition { |job| job.state == :held }
      { 'held' => held.map(&:ref), 'running' => running.map(&:ref), 'unacked' => unacked_besides(running) }
    end

    # The same for a heartbeat, with ages.
    def heartbeat_inventory(now)
      held, running = live_jobs.partition { |job| job.state == :held }
      { 'held' => held.map(&:ref),
        'running' => running.map { |job| job.ref.merge('age_ms' => job.age_ms(now)) },
        'unacked' => unacked_besides(running), 'oldest_unacked_ms' => @outbox.oldest_ms(now),
        'free' => @outbox.full? ? 0 : [free_slots, 0].max }
    end

    private

    def live_jobs
      open = @open.each_value.flat_map { |batch| batch.jobs.values }
                  .select { |job| %i[held running].include?(job.state) }
      open + @pool.running.select { |job| job.state == :reported }
    end

    # A timed-out handler that still runs is reported, but stays listed as running until it ends.
    def unacked_besides(running)
      timed_out = running.select { |job| job.state == :reported }
                         .map { |job| [job.batch.id, job.step_id, job.attempt] }
      (@outbox.unacked_steps - timed_out).map do |batch_id, step_id, attempt|
        { 'batch_id' => batch_id, 'step_id' => step_id, 'attempt' => attempt }
      end
    end
  end
end
