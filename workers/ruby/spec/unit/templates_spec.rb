# frozen_string_literal: true

require 'spec_helper'

RSpec.describe TaskerWorker::Templates do
  around { |example| Dir.mktmpdir { |dir| @dir = dir and example.run } }

  def write(text, name = 'a.yaml') = File.write(File.join(@dir, name), text)

  def steps(environment: nil, env: {})
    described_class.load_file(File.join(@dir, 'a.yaml'), environment: environment, env: env).steps
  end

  def template(config, rest = '')
    write(<<~YAML)
      name: a
      namespace_name: ns
      version: 1.0
      #{rest}
      step_templates:
        - {name: s1, handler_class: "A::B", handler_config: #{config}}
    YAML
  end

  def config_of(text, env: {}, environment: nil, rest: '')
    template(text, rest)
    steps(env: env, environment: environment).first.handler_config
  end

  it 'types plain scalars as the orchestrator does: YAML 1.2, and by what variables hold' do
    env = { 'ZIP' => '01234', 'EMPTY' => '', 'COLOUR' => '#fff', 'NO' => 'no' }
    text = '{country: no, mode: 010, clock: 12:30, big: 1e3, hex: 0x1F, under: 1_000, day: 2024-01-01, ' \
           'vat: {no: 25}, zip: "${ZIP}", bare: $VAR, empty: "${EMPTY:-d}", colour: "${COLOUR}", ' \
           'ns: "${NO}", lit: "$${X}", off: off, null: ~, yes: true, minus: -1.5}'
    expect(config_of(text, env: env)).to eq(
      'country' => 'no', 'mode' => 10, 'clock' => '12:30', 'big' => 1000.0, 'hex' => '0x1F',
      'under' => '1_000', 'day' => '2024-01-01', 'vat' => { 'no' => 25 }, 'zip' => '01234', 'bare' => '$VAR',
      'empty' => 'd', 'colour' => '#fff', 'ns' => 'no', 'lit' => '${X}', 'off' => 'off', 'null' => nil,
      'yes' => true, 'minus' => -1.5
    )
    write(<<~YAML)
      name: a
      namespace_name: no
      version: 1.10
      step_templates:
        - name: 007
          handler_class: A::B
          handler_config: { plain: x }
          timeout_seconds: ${SECONDS:-2.5}
    YAML
    step = steps(env: { 'SECONDS' => '1.5' }).first
    expect([step.namespace, step.version, step.name, step.timeout_ms]).to eq(['no', '1.10', '007', 1500])
  end

  it 'applies the overrides of the chosen environment in both dialects, maps key by key' do
    list = 'environments: {t: {step_templates: [{name: s1, handler_config: {x: {b: 2}}, retry_limit: 7}]}}'
    map = 'environments: {t: {step_overrides: {s1: {handler_config: {x: {b: 2}}, handler_class: "C::D"}}}}'
    expect(config_of('{x: {a: 1, b: 1}}', rest: list)).to eq('x' => { 'a' => 1, 'b' => 1 })
    expect(config_of('{x: {a: 1, b: 1}}', rest: list, environment: 't')).to eq('x' => { 'a' => 1, 'b' => 2 })
    expect(steps(environment: 't').first.retry_limit).to eq(7)
    expect(config_of('{x: {a: 1, b: 1}}', rest: map, environment: 't')).to eq('x' => { 'a' => 1, 'b' => 2 })
    expect(steps(environment: 't').first.handler_class).to eq('C::D')
  end

  def refused(message, &) = expect(&).to raise_error(TaskerWorker::ConfigurationError, message)

  it 'needs no variable to compare handler classes' do
    template('{token: "${API_TOKEN}"}')
    expect(described_class.load(@dir, env: {}).handler_classes).to eq(['A::B'])
    refused(/a\.yaml: line 6: \$\{API_TOKEN\} is not set/) { steps }
  end

  bomb = 10.times.map do |n|
    "a#{n}: &a#{n} [#{([n.zero? ? '1' : "*a#{n - 1}"] * 10).join(',')}]\n"
  end.join
  { 'a missing field' => ['{name: a, namespace_name: n, version: 1, step_templates: [{name: s1}]}',
                          /step_templates\[0\]\.handler_class is required/],
    'broken YAML' => ["name: a\n  b: [", /a\.yaml: line \d: not valid YAML/],
    'an empty file' => ['', /the file is empty/],
    'two documents' => ["a: 1\n---\nb: 2\n", /exactly one YAML document/],
    'a key given twice' => ["a: 1\na: 2\n", /line 2: a key is given twice/],
    'a foreign tag' => ["a: !ruby/object:Object {}\n", /a tag is not supported/],
    'bytes that are no text' => ["a: \xff\n", /not valid UTF-8/],
    'a zero byte' => ["a: \"\\0\"\n", /U\+0000/],
    'deep nesting' => [('[' * 100) + (']' * 100), /deeper than 48 levels/],
    'an endless nesting' => ['[' * 1_000_000, /deeper than 48 levels/],
    'an alias of itself' => ["a: &x [*x]\n", /an alias refers to a value that contains it/],
    'an alias bomb' => [bomb, /more than 500000 values/] }.each do |what, (text, message)|
    it "refuses #{what}" do
      write(text)
      refused(message) { steps }
    end
  end

  it 'reads regular files only, and quotes nothing of another one' do
    File.mkfifo(File.join(@dir, 'pipe.yaml'))
    refused(/pipe\.yaml: it is no regular file/) { described_class.load(@dir) }
    FileUtils.rm(File.join(@dir, 'pipe.yaml'))
    File.symlink('loop.yaml', File.join(@dir, 'loop.yaml'))
    refused(/loop\.yaml: it cannot be read: Too many levels/) { described_class.load(@dir) }
    FileUtils.rm(File.join(@dir, 'loop.yaml'))
    refused(/no \*\.yaml/) { described_class.load(@dir) }
    File.write(File.join(@dir, 'secret'), 'top secret: [')
    File.symlink('secret', File.join(@dir, 'a.yaml'))
    refused(/\A(?!.*top)/) { steps }
  end

  it 'reads the files of the folder itself, without hidden ones and folders' do
    template('{}')
    write('not yaml: [', '.hidden.yaml')
    Dir.mkdir(File.join(@dir, 'sub.yaml'))
    expect(described_class.load(@dir).handler_classes).to eq(['A::B'])
  end
end
