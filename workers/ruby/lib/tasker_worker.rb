# frozen_string_literal: true

require 'json'

# Worker SDK of Tasker: runs step handlers written in Ruby. See README.md beside this library.
module TaskerWorker
end

require_relative 'tasker_worker/version'
require_relative 'tasker_worker/errors'
require_relative 'tasker_worker/types'
require_relative 'tasker_worker/clock'
require_relative 'tasker_worker/log'
require_relative 'tasker_worker/wire/record'
require_relative 'tasker_worker/wire/messages'
require_relative 'tasker_worker/wire/codec'
require_relative 'tasker_worker/wire/frame'
require_relative 'tasker_worker/values'
require_relative 'tasker_worker/step_handler'
require_relative 'tasker_worker/error_report'
require_relative 'tasker_worker/output'
require_relative 'tasker_worker/step_runner'
require_relative 'tasker_worker/template_set'
require_relative 'tasker_worker/registry'
require_relative 'tasker_worker/job'
