# frozen_string_literal: true

require 'spec_helper'

RSpec.describe TaskerWorker::CLI do
  def run(*argv)
    out = StringIO.new
    err = StringIO.new
    [described_class.run(argv, out: out, err: err), out.string, err.string]
  end

  it 'names the version' do
    expect(run('--version')).to eq([0, "tasker-worker #{TaskerWorker::VERSION}\n", ''])
  end

  it 'teaches with --help' do
    code, out, = run('--help')
    expect(code).to eq(0)
    expect(out).to include('Usage:', '--require', 'TASKER_WORKER_STEPS_ENDPOINT')
    expect(out[/Exit codes:\n(?:  \d.*\n)+/].scan(/^  (\d)/).flatten.map(&:to_i))
      .to eq(TaskerWorker::ExitCode.constants.map { |name| TaskerWorker::ExitCode.const_get(name) }.sort)
  end

  [[['--capacity', 'many'], /invalid argument: --capacity many/],
   [['--nonsense'], /invalid option/], [['extra'], /unexpected "extra"/],
   [['--templates', '/nowhere'], %r{/nowhere is not a directory}],
   [['--strict'], /--strict: compares the handlers with templates; add --templates/],
   [['--namespace', 'a b'], /--namespace: "a b" is no namespace/],
   [['--handlers', ','], /--handlers: names no/],
   [['--handlers', 'Nobody::Here'], /Nobody::Here is missing: --handlers asks for it, but no --require/],
   [['--require', '/no/such.rb'], /--require/]].each do |argv, message|
    it "exits 2 with one line for #{argv.join(' ')}" do
      code, _, err = run(*argv)
      expect([code, err.lines.size]).to eq([2, 1])
      expect(err).to match(message)
    end
  end

  # Runs the command line up to the point where the worker would start; returns [exit code, log, registry].
  def start(*argv)
    started = nil
    err = StringIO.new
    allow(TaskerWorker::Worker).to receive(:new) do |_, registry, **|
      started = registry
      raise TaskerWorker::ConfigurationError, 'far enough'
    end
    [described_class.run(argv, out: StringIO.new, err: err), err.string, started]
  end

  def in_a_folder_with(**templates)
    Dir.mktmpdir do |dir|
      templates.each do |name, handler|
        steps = "[{name: s, handler_class: #{handler}}]"
        File.write(File.join(dir, "#{name}.yaml"),
                   "{name: a, namespace_name: n, version: 1, step_templates: #{steps}}")
      end
      yield dir
    end
  end

  it 'serves what --require defines, without any template' do
    echo = File.join(SDK_ROOT, 'samples', 'echo.rb')
    in_a_folder_with do |dir|
      Dir.chdir(dir) { expect(start('--require', echo).last.handlers).to include('Samples::EchoHandler') }
      Dir.chdir(dir) do
        expect(start('--require', echo, '--handlers', 'Samples::EchoHandler').last.handlers)
          .to eq(['Samples::EchoHandler'])
      end
    end
  end

  it 'compares the handlers with the templates, and with --strict refuses to start' do
    argv = ['--require', File.join(SDK_ROOT, 'samples', 'echo.rb'), '--handlers', 'Samples::EchoHandler']
    in_a_folder_with(a: 'Samples::EchoHandlr', b: 'python.only') do |dir|
      _, log, registry = start(*argv, '--templates', dir)
      expect(registry.handlers).to eq(['Samples::EchoHandler'])
      expect(log).to include('level=warn msg="handler in no template" handler=Samples::EchoHandler ' \
                             'did_you_mean=Samples::EchoHandlr',
                             'level=info msg="served elsewhere" handlers=Samples::EchoHandlr,python.only')
      code, complaint, registry = start(*argv, '--templates', dir, '--strict')
      expect([code, registry]).to eq([2, nil])
      expect(complaint).to match(/EchoHandler stands in no template .* did you mean Samples::EchoHandlr\?/)
    end
    in_a_folder_with(a: 'Samples::EchoHandler') do |dir|
      _, log, registry = start(*argv, '--templates', dir, '--strict')
      expect([log.lines.size, registry.nil?]).to eq([1, false])
    end
  end
end
