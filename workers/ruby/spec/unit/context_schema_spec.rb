# frozen_string_literal: true

require 'spec_helper'
require 'open3'

# Python's jsonschema, which the conformance runner needs as well, is the full implementation to compare with.
RSpec.describe TaskerWorker::ContextSchema do
  schemas = [
    true, false, { type: 'object', required: %w[a b], properties: { a: { type: 'integer' } } },
    { type: %w[string null] }, { type: 'integer' }, { type: 'number', minimum: 1, exclusiveMaximum: 3 },
    { maximum: 2, exclusiveMinimum: 0.5, multipleOf: 0.5 }, { multipleOf: 2 },
    { enum: [1, 'a', nil, ['a'], { a: 'b' }] }, { const: true }, { const: 1 },
    { minLength: 1, maxLength: 2, pattern: '^a' }, { pattern: '[^a]b$|^$' },
    { items: { type: 'integer' }, minItems: 1, maxItems: 2 },
    { items: [{ type: 'integer' }, true], additionalItems: false }, { uniqueItems: true },
    { contains: { const: 1 } }, { minProperties: 1, maxProperties: 1, propertyNames: { pattern: '^[ab]' } },
    { properties: { a: true }, patternProperties: { '^b' => { type: 'string' } },
      additionalProperties: false },
    { additionalProperties: { type: 'integer' } }, { dependencies: { a: ['b'], b: { required: ['c'] } } },
    { allOf: [{ type: 'object' }, { required: ['a'] }] }, { anyOf: [{ type: 'string' }, { minimum: 2 }] },
    { oneOf: [{ type: 'integer' }, { minimum: 2 }] }, { not: { type: 'object' } },
    { if: { required: ['a'] }, then: { required: ['b'] }, else: { type: 'object' } },
    { definitions: { 'x~/y': { type: 'integer' } }, properties: { a: { '$ref': '#/definitions/x~0~1y' } } },
    { properties: { a: { '$ref': '#' }, b: { type: 'integer' } }, additionalProperties: false }
  ].map { |schema| JSON.parse(JSON.generate(schema)) }

  def some_value(chance, depth = 0)
    case chance.rand(depth < 3 ? 8 : 6)
    when 0 then nil
    when 1 then true
    when 2 then chance.rand(4)
    when 3 then [1.0, 1.5, 2.5].sample(random: chance)
    when 4 then %w[a b].sample(random: chance)
    when 5 then 'abc'
    when 6 then Array.new(chance.rand(4)) { some_value(chance, depth + 1) }
    else
      keys = %w[a b c bb].sample(chance.rand(5), random: chance)
      keys.to_h { |key| [key, some_value(chance, depth + 1)] }
    end
  end

  it 'gives the verdict of a full implementation' do
    chance = Random.new(RSpec.configuration.seed)
    values = Array.new(300) { some_value(chance) }
    code = <<~PYTHON
      import json, sys, jsonschema
      schemas, values = json.load(sys.stdin)
      print(json.dumps([[jsonschema.Draft7Validator(s).is_valid(v) for v in values] for s in schemas]))
    PYTHON
    out, status = Open3.capture2('/usr/bin/python3', '-c', code, stdin_data: JSON.generate([schemas, values]))
    expect(status).to be_success
    schemas.zip(JSON.parse(out)) do |schema, verdicts|
      values.zip(verdicts) do |value, fits|
        expect([schema, value, described_class.problems(schema, value).empty?]).to eq([schema, value, fits])
      end
    end
  end

  it 'names the place of each problem' do
    item = { 'required' => ['sku'], 'properties' => { 'n' => { 'minimum' => 1 } } }
    schema = { 'properties' => { 'items' => { 'items' => item } } }
    expect(described_class.problems(schema, { 'items' => [{ 'sku' => 1, 'n' => 0 }, {}] }))
      .to eq(['items[0].n must be at least 1', 'items[1].sku is missing'])
    expect(described_class.problems({ 'type' => 'object' }, 1)).to eq(['the context must be of type object'])
  end

  [{ '$ref' => '#' }, { '$ref' => '#/nowhere' }, { 'pattern' => '[' }, { 'type' => 'odd' }].each do |schema|
    it "refuses to use #{schema}" do
      expect { described_class.problems(schema, 'x') }.to raise_error(described_class::Unusable)
    end
  end
end
