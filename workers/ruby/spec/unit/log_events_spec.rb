# frozen_string_literal: true

require 'spec_helper'
require 'open3'

# Every line of this SDK stands in the catalogue that all SDKs share, with its level and its fields.
RSpec.describe 'the catalogue of log events' do
  step = %w[task_id step_id attempt step_name batch_id]
  endpoints = %w[steps_endpoints results_endpoints]
  # What a splat of that name gives.
  splats = { 'log_fields' => step, 'endpoints' => endpoints, '@endpoints' => endpoints,
             'facts' => %w[message_type epoch] }
  levels = %i[debug info warn error]

  # The calls of a log in a syntax tree: [event, level, fields].
  define_method(:calls) do |node, &block|
    next unless node.is_a?(RubyVM::AbstractSyntaxTree::Node)

    if node.type == :CALL && levels.include?(node.children[1]) && log?(node.children[0])
      event, fields = node.children[2].children.compact
      block.call(event.children[0], node.children[1].to_s, fields_of(fields, splats))
    end
    node.children.each { |child| calls(child, &block) }
  end

  def log?(receiver)
    receiver.children.compact.any? { |part| %i[log @log].include?(part) }
  end

  def fields_of(hash, splats)
    pairs = hash ? hash.children[0].children[0...-1].each_slice(2) : []
    pairs.flat_map do |key, value|
      next [key.children[0].to_s] if key

      splats.fetch(value.children.grep(Symbol).last.to_s)
    end
  end

  it 'has every line of the sources, and no other' do
    catalogue = JSON.parse(File.read(File.expand_path('../log_events.json', SDK_ROOT), encoding: 'UTF-8'))
                    .to_h { |event| [event['event'], event] }
    seen = []
    Dir[File.join(SDK_ROOT, 'lib/**/*.rb')].each do |file|
      calls(RubyVM::AbstractSyntaxTree.parse_file(file)) do |event, level, fields|
        known = catalogue.fetch(event)
        # This SDK keeps the hand-backs of an earlier session.
        optional = (known['optional'] || []) - ['dropped_rejections']
        expect([event, fields.sort]).to eq([event, [*known['fields'], *optional].sort])
        expect([event, level]).to eq([event, known['level']])
        seen |= [event]
      end
    end
    expect(seen.sort).to eq(catalogue.keys.sort)
  end

  it 'shows at once what a handler prints, through a pipe, too' do
    Dir.mktmpdir do |folder|
      file = File.join(folder, 'printing.rb')
      File.write(file, "puts 'here'\n$stdin.read\n")
      Open3.popen3(File.join(SDK_ROOT, 'exe/tasker-worker'), '--require', file) do |input, output, _, process|
        expect(output.wait_readable(30) && output.gets).to eq("here\n")
        expect(process).to be_alive
        input.close
        expect(process.join(30)).to eq(process)
      end
    end
  end
end
