# frozen_string_literal: true

# The Sidekiq jobs under measurement. It keeps no results, and dependencies are in a paid edition: each step
# of the chain adds the next one itself, with its result among the arguments.
require 'sidekiq'
require 'json'

redis = { url: "unix://#{ENV.fetch('PEER_REDIS')}" }
Sidekiq.configure_client { |config| config.redis = redis }
Sidekiq.configure_server do |config|
  config.redis = redis
  config.logger.level = Logger::ERROR
end

PAYLOAD = 'x' * 180

# A step that does nothing: the same 200 bytes as Tasker's no-op handlers.
def noop_step(*previous)
  previous.each do |result|
    raise "a step got #{result.inspect}" unless result.is_a?(Hash) && result['payload'] == PAYLOAD
  end
  { 'ok' => true, 'payload' => PAYLOAD }
end

# Step 4 of 4.
class Step4
  include Sidekiq::Worker

  def perform(order)
    noop_step(order['previous'])
    Sidekiq.redis { |redis| redis.incr('finished') }
  end
end

# Step 3 of 4.
class Step3
  include Sidekiq::Worker

  def perform(order)
    Step4.perform_async(order.merge('previous' => noop_step(order['previous'])))
  end
end

# Step 2 of 4.
class Step2
  include Sidekiq::Worker

  def perform(order)
    Step3.perform_async(order.merge('previous' => noop_step(order['previous'])))
  end
end

# Step 1 of 4.
class Step1
  include Sidekiq::Worker

  def perform(order)
    Step2.perform_async(order.merge('previous' => noop_step))
  end
end

# Sidekiq tells nobody that a job is complete, so this one does.
class Single
  include Sidekiq::Worker

  def perform(order)
    Sidekiq.redis { |redis| redis.lpush("result:#{order['order']}", JSON.generate(noop_step)) }
  end
end
