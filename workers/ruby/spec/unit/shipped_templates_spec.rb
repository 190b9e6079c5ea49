# frozen_string_literal: true

require 'spec_helper'
%w[examples/order_fulfillment examples/patterns samples/noop].each do |file|
  require File.join(SDK_ROOT, file)
end

# The templates of config/tasks/ are served by the shipped handlers, and their arithmetic comes out.
RSpec.describe 'The shipped templates' do
  tasks = File.expand_path('../../config/tasks', SDK_ROOT)
  order = { order_id: 'o-1', customer: { id: 1, email: 'a@b' },
            items: [{ sku: 'a', quantity: 2, unit_price_cents: 100 }],
            payment: { method: 'card', card_token: 'tok_flaky' }, shipping: { address: 'x', country: 'DE' } }

  it 'are all served' do
    asked = TaskerWorker::Templates.load(tasks).handler_classes
    expect(TaskerWorker::Registry.build(asked: asked).compare(asked).elsewhere).to be_empty
  end

  { 'linear_chain' => 66, 'diamond' => 28, 'fan_out_fan_in' => 5650, 'tree' => 202, 'mixed_dag' => 107 }
    .each do |name, value|
    it "#{name} computes #{value} from 6" do
      run = TaskerWorker::Testing.run_template(File.join(tasks, "#{name}.yaml"), context: { value: 6 })
      expect(run.state).to eq('complete')
      expect(run.results.values.last['value']).to eq(value)
    end
  end

  it 'order_fulfillment ships after a flaky payment' do
    run = TaskerWorker::Testing.run_template(File.join(tasks, 'order_fulfillment.yaml'), context: order)
    expect(run.state).to eq('complete')
    expect(run.steps['process_payment'].attempts).to eq(2)
    expect(run.results['ship_order']['payment_id']).to eq(run.results['process_payment']['payment_id'])
  end

  it 'permanent_failure fails for good' do
    run = TaskerWorker::Testing.run_template(File.join(tasks, 'permanent_failure.yaml'),
                                             context: { value: 6 })
    expect(run.state).to eq('error')
    expect(run.steps.values.map(&:state)).to include('error', 'pending')
  end
end
