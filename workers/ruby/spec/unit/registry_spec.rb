# frozen_string_literal: true

require 'spec_helper'

module RegistrySpec
  class Ship < TaskerWorker::StepHandler
    def process(*) = config
  end

  # Its constructor needs its config, and may fail.
  class Strict
    attr_reader :at

    def self.built = (@built ||= Queue.new)

    def initialize(config:)
      self.class.built << config
      raise "no key in #{config}" unless config.key?('key')

      @at = config.fetch('key')
    end

    def process(_task, _sequence, _step) = at
  end
end

RSpec.describe TaskerWorker::Registry do
  def registry(*classes, **rest)
    described_class.new(classes.to_h { |klass| [klass.name, klass] }, **rest)
  end

  def object(registry, klass, config = {}) = registry.find(klass.name, config)&.object

  ship = RegistrySpec::Ship
  strict = RegistrySpec::Strict

  it 'builds one object for each class and configuration, when it is needed' do
    subject = registry(ship, strict)
    one = object(subject, ship, { 'x' => 1 })
    expect(one.config).to eq('x' => 1)
    expect(object(subject, ship, { 'x' => 1 })).to equal(one)
    expect(object(subject, strict, { 'key' => 5 }).at).to eq(5)
    expect(subject.find('Nobody::Here', {})).to be_nil
    expect(subject.handlers).to eq([ship.name, strict.name])
  end

  it 'tells configurations apart by type and depth, not by the order of their keys' do
    subject = registry(ship)
    configs = [{}, { 'x' => 1 }, { 'x' => 1.0 }, { 'x' => '1' }, { 'x' => true }, { 'x' => nil },
               { 'x' => [1] }, { 'x' => { 'y' => 1 } }, { 'x' => { 'y' => 1.0 } }]
    expect(configs.map { |config| object(subject, ship, config) }.uniq(&:object_id).size).to eq(configs.size)
    expect(object(subject, ship,
                  { 'a' => 1, 'b' => 2 })).to equal(object(subject, ship, { 'b' => 2, 'a' => 1 }))
  end

  it 'keeps the objects that were used last' do
    subject = registry(ship, objects_max: 3)
    objects = 3.times.map { |n| object(subject, ship, { 'n' => n }) }
    object(subject, ship, { 'n' => 0 }) # now 1 is the oldest
    object(subject, ship, { 'n' => 3 })
    expect(object(subject, ship, { 'n' => 0 })).to equal(objects[0])
    expect(object(subject, ship, { 'n' => 1 })).not_to equal(objects[1])
  end

  it 'builds an object once for all threads, and again after its constructor failed' do
    subject = registry(strict)
    entry = subject.find(strict.name, { 'key' => 1 })
    strict.built.clear
    expect(8.times.map { Thread.new { entry.object } }.map(&:value).uniq.size).to eq(1)
    expect(strict.built.size).to eq(1)
    2.times { expect { object(subject, strict, { 'a' => 1 }) }.to raise_error(RuntimeError, /no key/) }
    expect(strict.built.size).to eq(3)
  end

  it 'compares the classes with those of templates' do
    subject = registry(ship, strict)
    compared = subject.compare([ship.name, 'RegistrySpec::Strct', 'python.dotted.Path'])
    expect(compared.unasked).to eq(strict.name => 'RegistrySpec::Strct')
    expect(compared.elsewhere).to eq('RegistrySpec::Strct' => strict.name, 'python.dotted.Path' => nil)
    expect(subject.compare(['Other::Ship', strict.name]).unasked).to eq(ship.name => 'Other::Ship')
  end

  it 'serves all that is declared, or exactly what --handlers names' do
    expect(described_class.build.handlers).to include(ship.name)
    expect(described_class.build(only: [strict.name]).handlers).to eq([strict.name])
    expect(described_class.build(asked: [strict.name, 'Python::Only']).handlers).to include(strict.name)
    expect { described_class.build(only: ['RegistrySpec::Shop']) }
      .to raise_error(TaskerWorker::ConfigurationError, /Shop is missing.*did you mean RegistrySpec::Ship\?/)
  end
end

RSpec.describe TaskerWorker::Handlers do
  # A class with these methods, given as text: the head of each decides.
  def klass(*heads, parent: TaskerWorker::StepHandler)
    body = heads.map { |head| "#{head}; end" }.join("\n")
    Class.new(parent).tap { |made| made.class_eval(body, __FILE__, __LINE__) }
  end

  def complaint(made)
    described_class.check('A::B', made)
    nil
  rescue TaskerWorker::ConfigurationError => e
    e.message
  end

  { [] => /A::B has no method process\(task, sequence, step\)\z/,
    ['def proces(task, sequence, step)'] => /did you mean process instead of proces\?/,
    ['private def process(task, sequence, step)'] => /it is not public/,
    ['def process(task, sequence)'] => /takes "task, sequence", but it is called with 3 arguments; write/,
    ['def process(task, sequence, step, more)'] => /called with 3 arguments/,
    ['def process(task, sequence, step, key:)'] => /called with 3 arguments/,
    ['def process(*)', 'def process_results(step)'] => /process_results takes "step"/,
    ['def process(*)', 'def initialize(config:, more:)'] => /cannot be built with new\(config/,
    ['def process(*)', 'def initialize(config)'] => /cannot be built/,
    ['def process(*)', 'def initialize(config = {})'] => /cannot be built/ }.each do |heads, message|
    it("refuses #{heads.join('; ')}") { expect(complaint(klass(*heads))).to match(message) }
  end

  it 'refuses a class of its own without a constructor that takes config' do
    made = klass('def process(*)', parent: Object)
    expect(complaint(made)).to match(/write initialize\(config:\), or derive/)
  end

  ['task, sequence, step', '*', 'task, *rest', '...', 'task, sequence, step, more = 1, key: 2'].each do |list|
    it("takes process(#{list})") { expect(complaint(klass("def process(#{list})"))).to be_nil }
  end

  ['config:', 'config: {}', '**', '*', 'config:, more: 1'].each do |list|
    it "takes initialize(#{list})" do
      expect(complaint(klass('def process(*)', "def initialize(#{list})", parent: Object))).to be_nil
    end
  end

  it 'takes a class whose own new takes config' do
    made = klass('def self.new(config:)', 'def initialize(needs, more)', 'def process(*)', parent: Object)
    expect(complaint(made)).to be_nil
  end

  it 'does not take a top-level constant for a nested one, nor what is no class' do
    %w[RegistrySpec::String RegistrySpec python.dotted.Path Kernel lower ::].each do |name|
      expect(described_class.resolve(name)).to be_nil
    end
    expect(described_class.resolve('RegistrySpec::Ship')).to equal(RegistrySpec::Ship)
  end

  it 'finds handlers without a base in what was loaded, and no bases without process' do
    Dir.mktmpdir do |dir|
      file = File.join(dir, 'found.rb')
      File.write(file, <<~RUBY)
        module Found#{Process.pid}
          class Plain
            def initialize(config:); end
            def process(_task, _sequence, _step) = 1
          end
          class Helper
            def process(_only) = 1
          end
          class Base < TaskerWorker::StepHandler
            private def helper = 1
          end
          class Leaf < Base
            def process(_task, _sequence, _step) = 1
          end
        end
      RUBY
      described_class.load(file)
      found = described_class.declared.keys.grep(/\AFound#{Process.pid}::/)
      expect(found.map { |name| name.split('::').last }).to contain_exactly('Plain', 'Leaf')
    ensure
      Object.send(:remove_const, "Found#{Process.pid}")
    end
  end
end
