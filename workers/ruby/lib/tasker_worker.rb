# frozen_string_literal: true

require 'json'

# Worker SDK of Tasker: runs step handlers written in Ruby. See README.md beside this library.
#
# This file loads what handlers and their tests need. What talks to an orchestrator is loaded by
# tasker_worker/cli and tasker_worker/worker.
module TaskerWorker
end

require_relative 'tasker_worker/version'
require_relative 'tasker_worker/errors'
require_relative 'tasker_worker/clock'
require_relative 'tasker_worker/secrets'
require_relative 'tasker_worker/log'
require_relative 'tasker_worker/wire/types'
require_relative 'tasker_worker/wire/record'
require_relative 'tasker_worker/wire/messages'
require_relative 'tasker_worker/wire/codec'
require_relative 'tasker_worker/wire/reader'
require_relative 'tasker_worker/wire/frame'
require_relative 'tasker_worker/verdict'
require_relative 'tasker_worker/values'
require_relative 'tasker_worker/step_handler'
require_relative 'tasker_worker/outcome'
require_relative 'tasker_worker/yaml_text'
require_relative 'tasker_worker/templates'
require_relative 'tasker_worker/registry'
