# frozen_string_literal: true

require 'effects'
require 'fake_orchestrator'
require 'worker_process'

# A temp dir, a fake orchestrator in this process, and workers as real processes; all gone afterwards.
RSpec.shared_context 'with a fake orchestrator' do
  around do |example|
    Dir.mktmpdir('tasker-rb') do |dir|
      @dir = dir
      @orchestrator = FakeOrchestrator.new(dir)
      @workers = []
      example.run
    ensure
      puts @workers.map(&:log) if example.exception
      @workers.each(&:kill)
      @orchestrator.close
    end
  end

  attr_reader :dir, :orchestrator

  def start_worker(*options, **keywords)
    WorkerProcess.new(dir, *options, **keywords).tap { |worker| @workers << worker }
  end

  def gate(name = 'gate') = File.join(dir, name)
  def open_gate(name = 'gate') = File.write(gate(name), '')

  def exit_code_of(worker, limit: 10)
    orchestrator.until('the end of the worker', limit: limit) { worker.ended? }
  end
end
