# frozen_string_literal: true

require_relative 'lib/tasker_worker/version'

# The gem carries the version in a file of its own (ignored by git), since it leaves the checkout behind.
library = File.expand_path(__dir__)
packaged_version = File.join(library, 'VERSION')
if TaskerWorker::VersionFile.path(library) != packaged_version
  File.write(packaged_version, "#{TaskerWorker::VERSION}\n")
end

Gem::Specification.new do |spec|
  spec.name = 'tasker-worker'
  spec.version = TaskerWorker::VERSION
  spec.summary = 'Worker SDK of Tasker, a workflow orchestrator'
  spec.description = 'Runs the steps of Tasker workflows in Ruby: a handler is a class with one method. ' \
                     'The executable tasker-worker connects to the orchestrator and reports each result.'
  spec.authors = ['Tasker maintainers']
  # Neither is decided: the project has no public page and no licence file yet.
  spec.homepage = 'https://tasker.example.org'
  spec.license = 'Nonstandard'
  spec.metadata = { 'rubygems_mfa_required' => 'true' }

  spec.required_ruby_version = '>= 3.1'
  spec.add_runtime_dependency 'concurrent-ruby', '~> 1.1'
  spec.add_runtime_dependency 'dry-types', '~> 1.2'
  spec.add_runtime_dependency 'ffi-rzmq', '~> 2.0'

  spec.files = Dir.chdir(library) { Dir['lib/**/*.rb', 'exe/*', 'samples/*.rb', 'README.md', 'VERSION'] }
  spec.bindir = 'exe'
  spec.executables = ['tasker-worker']
end
