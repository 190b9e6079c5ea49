# frozen_string_literal: true

require 'spec_helper'

module RegistrySpec
  class Ship < TaskerWorker::StepHandler
    def process(*) = config
  end

  class NoProcess
    def initialize(config:); end
  end

  class Explodes
    def initialize(config:) = raise("no #{config['key']}")
    def process(*) = nil
  end
end

RSpec.describe TaskerWorker::Registry do
  around { |example| Dir.mktmpdir { |dir| @dir = dir and example.run } }

  def template(name, steps, **rest)
    data = { 'name' => name, 'namespace_name' => 'ns', 'version' => '1.0.0',
             'step_templates' => steps }.merge(rest)
    File.write(File.join(@dir, "#{name}.yaml"), YAML.dump(data.transform_keys(&:to_s)))
  end

  def step(name, handler, config = {})
    { 'name' => name, 'handler_class' => handler, 'handler_config' => config }
  end

  def registry(environment: nil, only: nil, env: {})
    described_class.new(TaskerWorker::TemplateSet.load(@dir, environment: environment, env: env), only: only)
  end

  def config_of(registry, name, task: 'a', handler: 'RegistrySpec::Ship')
    registry.lookup('ns', task, '1.0.0', name, handler).process
  end

  it 'builds one handler per step with its own config and finds it again' do
    template('a',
             [step('s1', 'RegistrySpec::Ship', { 'x' => 1 }), step('s2', 'RegistrySpec::Ship', { 'x' => 2 })])
    subject = registry
    expect([config_of(subject, 's1'), config_of(subject, 's2')]).to eq([{ 'x' => 1 }, { 'x' => 2 }])
    expect(config_of(subject, 's1')).to be_frozen
    expect(subject.lookup('ns', 'a', '1.0.0', 's1', 'RegistrySpec::Ship'))
      .to equal(subject.lookup('ns', 'a', '1.0.0', 's1', 'RegistrySpec::Ship'))
    expect(subject.handlers).to eq(['RegistrySpec::Ship'])
    expect(subject.namespaces).to eq(['ns'])
  end

  it 'serves unknown steps by class and nothing else' do
    template('a', [step('s1', 'RegistrySpec::Ship', { 'x' => 1 })])
    expect(config_of(registry, 'new_step')).to eq({})
    expect(config_of(registry, 's1', task: 'other')).to eq({})
    expect(registry.lookup('ns', 'a', '1.0.0', 's1', 'Nobody')).to be_nil
  end

  it 'applies both environment dialects, only for the chosen environment' do
    override = { 'handler_config' => { 'x' => 5 } }
    template('a', [step('s1', 'RegistrySpec::Ship', { 'x' => 1, 'y' => 1 })],
             environments: { 'test' => { 'step_templates' => [override.merge('name' => 's1')] },
                             'live' => { 'step_overrides' => { 's1' => override } } })
    expect(config_of(registry, 's1')).to eq('x' => 1, 'y' => 1)
    expect(config_of(registry(environment: 'test'), 's1')).to eq('x' => 5, 'y' => 1)
    expect(config_of(registry(environment: 'live'), 's1')).to eq('x' => 5, 'y' => 1)
  end

  it 'interpolates variables inside scalars and keeps dates text' do
    File.write(File.join(@dir, 'a.yaml'), <<~YAML)
      name: a
      namespace_name: ns
      version: 1.0.0
      step_templates:
        - name: s1
          handler_class: RegistrySpec::Ship
          handler_config: { url: "${HOST:-localhost}/x", size: "${SIZE}", since: 2026-01-02 }
    YAML
    expect(config_of(registry(env: { 'SIZE' => '4' }),
                     's1')).to eq('url' => 'localhost/x', 'size' => '4', 'since' => '2026-01-02')
    expect { registry }.to raise_error(TaskerWorker::ConfigurationError, /a\.yaml:7: \$\{SIZE\} is not set/)
  end

  it 'leaves what does not resolve to others' do
    template('a',
             [step('s1', 'RegistrySpec::Ship'), step('s2', 'Python::Only'), step('s3', 'python.dotted.Path')])
    expect(registry.elsewhere).to eq(['Python::Only', 'python.dotted.Path'])
    expect(registry).not_to be_serves('Python::Only')
  end

  it 'does not take a top-level constant for a nested one' do
    template('a', [step('s1', 'RegistrySpec::Ship'), step('s2', 'RegistrySpec::String')])
    expect(registry.elsewhere).to eq(['RegistrySpec::String'])
  end

  it 'serves exactly what --handlers names' do
    template('a', [step('s1', 'RegistrySpec::Ship'), step('s2', 'Python::Only')])
    expect(registry(only: ['RegistrySpec::Ship']).handlers).to eq(['RegistrySpec::Ship'])
    expect { registry(only: ['Python::Only']) }
      .to raise_error(TaskerWorker::ConfigurationError,
                      /a\.yaml: step s2: handler class Python::Only .* not defined/)
    expect do
      registry(only: ['Typo'])
    end.to raise_error(TaskerWorker::ConfigurationError, /no template .* Typo .*RegistrySpec::Ship/)
  end

  it 'fails the start when nothing resolves or a handler is no handler' do
    template('a', [step('s1', 'Nobody::Here')])
    expect do
      registry
    end.to raise_error(TaskerWorker::ConfigurationError, /none of the handler classes.*--require/)
    template('a', [step('s1', 'RegistrySpec::NoProcess')])
    expect do
      registry
    end.to raise_error(TaskerWorker::ConfigurationError, /a\.yaml: step s1: .* no method process/)
    template('a', [step('s1', 'RegistrySpec::Explodes', { 'key' => 'k' })])
    expect { registry }.to raise_error(TaskerWorker::ConfigurationError, /step s1: .*RuntimeError: no k/)
  end

  it 'names file and field of a template it cannot read' do
    template('a', [{ 'name' => 's1' }])
    expect do
      registry
    end.to raise_error(TaskerWorker::ConfigurationError,
                       /a\.yaml: step_templates\[0\]\.handler_class is required/)
    File.write(File.join(@dir, 'a.yaml'), "name: a\n  b: [")
    expect { registry }.to raise_error(TaskerWorker::ConfigurationError, /a\.yaml:\d: not valid YAML/)
    FileUtils.rm(File.join(@dir, 'a.yaml'))
    expect { registry }.to raise_error(TaskerWorker::ConfigurationError, /no \*\.yaml/)
  end
end
