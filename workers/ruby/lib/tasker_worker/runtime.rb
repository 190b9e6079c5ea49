# frozen_string_literal: true

# The parts that talk to an orchestrator. Handlers and their tests need none of them, so they are not
# loaded by `require 'tasker_worker'`.
require_relative '../tasker_worker'
require_relative 'settings'
require_relative 'waker'
require_relative 'transport'
require_relative 'handler_pool'
require_relative 'outbox_file'
require_relative 'outbox'
require_relative 'reports'
require_relative 'claims'
require_relative 'inventory'
require_relative 'workload'
require_relative 'session'
require_relative 'worker'
require_relative 'cli'
