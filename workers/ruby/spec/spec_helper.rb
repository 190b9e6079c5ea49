# frozen_string_literal: true

$LOAD_PATH.unshift(File.expand_path('../lib', __dir__), File.expand_path('support', __dir__))
require 'tmpdir'
require 'yaml'
require 'stringio'
require 'fileutils'
require 'tasker_worker/cli'
require 'tasker_worker/testing'

RSpec.configure do |config|
  config.disable_monkey_patching!
  config.expect_with(:rspec) { |expectations| expectations.syntax = :expect }
  # rspec prints the seed; replay with --seed N.
  Kernel.srand(config.seed)
end

SDK_ROOT = File.expand_path('..', __dir__)
