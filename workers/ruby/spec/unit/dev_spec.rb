# frozen_string_literal: true

require 'spec_helper'

RSpec.describe TaskerWorker::Dev do
  found = ['ipc:///x/steps', 'ipc:///x/results']
  defaults = ['tcp://127.0.0.1:5555', 'tcp://127.0.0.1:5556']

  # In the project of a `tasker dev` that runs: its lock is held.
  around do |example|
    Dir.mktmpdir do |dir|
      @dir = dir
      @folder = File.join(dir, 'project', '.tasker')
      FileUtils.mkdir_p(@folder)
      write('{"pid": 1, "endpoints": {"steps": "ipc:///x/steps", "results": "ipc:///x/results"}}')
      File.open(File.join(@folder, 'lock'), 'w') do |lock|
        lock.flock(File::LOCK_EX)
        Dir.chdir(File.dirname(@folder)) { example.run }
      end
    end
  end

  def write(text) = File.write(File.join(@folder, 'dev.json'), text)

  def chosen(options = {}, env: {})
    settings = TaskerWorker::Settings.new(options, env: env)
    settings.steps_endpoints + settings.results_endpoints
  end

  it 'is found from below' do
    FileUtils.mkdir_p('some/where')
    Dir.chdir('some/where') { expect(chosen).to eq(found) }
  end

  it 'gives way to what names an endpoint, and wins over a file that nobody named' do
    expect(chosen({ steps_endpoints: ['ipc:///mine'] })).to eq(['ipc:///mine', 'ipc:///x/results'])
    expect(chosen(env: { 'TASKER_RESULTS_ENDPOINT' => 'tcp://h:1' })).to eq(['ipc:///x/steps', 'tcp://h:1'])
    Dir.mkdir('config')
    File.write('config/zeromq.yaml',
               "step_execution: { step_publisher: 'tcp://*:9', result_subscriber: 'tcp://*:8' }")
    expect(chosen).to eq(found)
    expect(chosen({ config: 'config/zeromq.yaml' })).to eq(['tcp://127.0.0.1:9', 'tcp://127.0.0.1:8'])
  end

  it 'replaces the variables of one that is gone' do
    %w[ipc:///tmp/tasker-run-AbCd12/steps ipc:///gone/.tasker/run/steps].each do |left|
      expect(chosen(env: { 'TASKER_STEPS_ENDPOINT' => left })).to eq(found)
      write('')
      expect(chosen(env: { 'TASKER_STEPS_ENDPOINT' => left }).first).to eq(left)
      write('{"endpoints": {"steps": "ipc:///x/steps", "results": "ipc:///x/results"}}')
    end
    FileUtils.mkdir_p('tasker-run-AbCd12')
    FileUtils.touch('tasker-run-AbCd12/steps')
    expect(described_class.left_over?("ipc://#{Dir.pwd}/tasker-run-AbCd12/steps")).to be(false)
  end

  # The warnings that a worker with such settings logs at its start.
  def warned(options = {}, env: {})
    out = StringIO.new
    allow(TaskerWorker::Worker).to receive(:new).and_wrap_original do |_, settings, _, log:|
      TaskerWorker::Worker.allocate.tap do |worker|
        worker.instance_variable_set(:@settings, settings)
        worker.instance_variable_set(:@log, log)
      end
    end
    log = TaskerWorker::Log.new(level: 'info', io: out)
    TaskerWorker::Worker.new(TaskerWorker::Settings.new(options, env: env), nil, log: log)
                        .send(:warn_of_another_database)
    out.string
  end

  own = 'postgresql://tasker@/tasker?host=%2Fx%2F.tasker%2Frun%2Fpg'

  it 'warns when TASKER_DATABASE_URL names another database' do
    write(JSON.generate(database_url: own,
                        endpoints: { steps: 'ipc:///x/steps', results: 'ipc:///x/results' }))
    env = { 'TASKER_DATABASE_URL' => 'postgresql://me:secret@db/mine' }
    text = warned(env: env)
    expect(text).to include('level=warn msg="connected to a tasker dev, but TASKER_DATABASE_URL names ' \
                            "another database\" folder=#{@folder} advice=")
    expect([text.lines.size, text.include?('secret')]).to eq([1, false])
    expect(warned({ steps_endpoints: ['ipc:///mine'] }, env: env)).to include('folder=')
    expect(warned({ steps_endpoints: ['ipc:///mine'], results_endpoints: ['ipc:///my'] }, env: env)).to eq('')
    [nil, '', own, 'postgresql://tasker@/tasker?host=/gone/tasker-run-AbCd12/pg&port=5432'].each do |url|
      expect(warned(env: { 'TASKER_DATABASE_URL' => url })).to eq('')
    end
  end

  it 'knows a server that runs' do
    server = File.join(@dir, 'tasker-run-AbCd12', 'pg')
    FileUtils.mkdir_p(server)
    expect(described_class.url_left_over?("postgresql:///tasker?host=#{server}")).to be(true)
    FileUtils.touch(File.join(server, '.s.PGSQL.5432'))
    expect(described_class.url_left_over?("postgresql:///tasker?host=#{server}")).to be(false)
    expect(described_class.url_left_over?('postgresql://100%/x')).to be(false)
  end

  it 'does not count when it has ended' do
    File.delete(File.join(@folder, 'lock'))
    FileUtils.touch(File.join(@folder, 'lock'))
    expect(chosen).to eq(defaults)
  end

  ['', '{', '[]', '{"endpoints": 5}', '{"endpoints": {"steps": {}}}'].each do |text|
    it "does not count with the state #{text.inspect}" do
      write(text)
      expect(chosen).to eq(defaults)
    end
  end

  %w[dev.json lock].each do |name|
    it "does not count when #{name} is a link or a pipe" do
      path = File.join(@folder, name)
      File.rename(path, File.join(@dir, name))
      File.symlink(File.join(@dir, name), path)
      expect(chosen).to eq(defaults)
      File.delete(path)
      File.mkfifo(path)
      expect(chosen).to eq(defaults)
    end
  end

  it 'does not count when its folder is a link' do
    FileUtils.mkdir_p(File.join(@dir, 'other'))
    File.symlink(@folder, File.join(@dir, 'other', '.tasker'))
    expect(described_class.endpoints(File.join(@dir, 'other'))).to eq({})
  end

  ['', 'dev.json', 'lock'].each do |name|
    it "does not count when another user owns #{name.empty? ? 'its folder' : name}" do
      skip 'only root can make files of another user' unless Process.euid.zero?
      File.chown(65_534, 65_534, File.join(@folder, name))
      expect(chosen).to eq(defaults)
    end
  end
end
