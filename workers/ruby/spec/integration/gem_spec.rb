# frozen_string_literal: true

require 'spec_helper'
require 'open3'
require 'fake_orchestrator'

# Builds the gem from a copy of the checkout with a version of its own, so that nothing can come from here,
# and installs it without network.
RSpec.describe 'The gem' do
  before(:all) do
    @dir = Dir.mktmpdir('tasker-gem')
    @library = File.join(@dir, 'checkout', 'workers', 'ruby')
    FileUtils.mkdir_p(@library)
    File.write(File.join(@dir, 'checkout', 'VERSION'), "9.8.7\n")
    %w[lib exe samples README.md tasker-worker.gemspec].each do |part|
      FileUtils.cp_r(File.join(SDK_ROOT, part), @library)
    end
    @built = run('gem', 'build', 'tasker-worker.gemspec')
    @installed = run('gem', 'install', '--local', '--no-document', '--ignore-dependencies',
                     'tasker-worker-9.8.7.gem')
    FileUtils.rm_rf(File.join(@dir, 'checkout'))
  end

  after(:all) { FileUtils.rm_rf(@dir) }

  def gem_home = File.join(@dir, 'gems')

  # [exit code, output and errors]
  def run(*command)
    env = { 'GEM_HOME' => gem_home, 'RUBYLIB' => nil, 'RUBYOPT' => nil, 'HOME' => @dir }
    output, status = Open3.capture2e(env, *command, chdir: Dir.exist?(@library) ? @library : @dir)
    [status.exitstatus, output]
  end

  def installed_worker(*arguments)
    run(RbConfig.ruby, File.join(gem_home, 'bin', 'tasker-worker'), *arguments)
  end

  it 'is built without a warning, and installed' do
    expect(@built[0]).to eq(0), @built[1]
    expect(@built[1]).not_to match(/warning/i)
    expect(@installed[0]).to eq(0), @installed[1]
  end

  it 'brings an executable that knows its version and teaches' do
    expect(installed_worker('--version')).to eq([0, "tasker-worker 9.8.7\n"])
    code, help = installed_worker('--help')
    expect(code).to eq(0)
    expect(help).to start_with("tasker-worker runs your step handlers for a Tasker orchestrator.\n")
  end

  it 'brings a worker that says hello' do
    orchestrator = FakeOrchestrator.new(@dir)
    sample = File.join(gem_home, 'gems', 'tasker-worker-9.8.7', 'samples', 'echo.rb')
    pid = spawn({ 'GEM_HOME' => gem_home, 'RUBYLIB' => nil, 'RUBYOPT' => nil }, RbConfig.ruby,
                File.join(gem_home, 'bin', 'tasker-worker'), '--require', sample,
                '--steps-endpoint', orchestrator.steps_endpoint,
                '--results-endpoint', orchestrator.results_endpoint, err: File.join(@dir, 'log'))
    expect(orchestrator.take('hello')['sdk_version']).to eq('9.8.7')
  ensure
    Process.kill('KILL', pid) && Process.wait(pid) if pid
    orchestrator&.close
  end
end

RSpec.describe TaskerWorker::VersionFile do
  root = File.expand_path('../../../..', __dir__)

  it 'is the one of the project in a checkout' do
    expect(described_class.path).to eq(File.join(root, 'VERSION'))
    expect("#{TaskerWorker::VERSION}\n").to eq(File.read(File.join(root, 'VERSION')))
    expect(Gem::Version.correct?(TaskerWorker::VERSION)).to be_truthy
  end

  it 'is the packaged one elsewhere, whatever lies above' do
    Dir.mktmpdir do |dir|
      File.write(File.join(dir, 'VERSION'), "1.0.0\n")
      gem = File.join(dir, 'gems', 'ruby')
      expect(described_class.path(gem)).to eq(File.join(gem, 'VERSION'))
      expect(described_class.path(File.join(dir, 'workers', 'ruby'))).to eq(File.join(dir, 'VERSION'))
    end
  end
end
