# frozen_string_literal: true

require 'spec_helper'

RSpec.describe TaskerWorker::Claims do
  let(:sent) { [] }
  let(:claims) do
    described_class.new(send_request: ->(attempt, n) { sent << [attempt.step_id, n] }, resend_ms: -> { 100 })
  end
  let(:attempt_class) { Struct.new(:batch, :step_id, :number, :claim, :start_by_ms, :state) }
  let(:batch) { Struct.new(:id).new('b') }

  def attempt(step_id) = attempt_class.new(batch, step_id, 1).tap { |made| claims.add(made) }

  def answer(step_id, number, window = 50)
    { 'batch_id' => 'b', 'step_id' => step_id, 'attempt' => 1, 'n' => number, 'start_window_ms' => window }
  end

  it 'asks only for as many as there are slots, in order, and repeats' do
    3.times { |index| attempt(index + 1) }
    claims.tick(0, 2)
    claims.tick(99, 0)
    claims.tick(100, 0)
    expect(sent).to eq([[1, 1], [2, 1], [1, 2], [2, 2]])
    expect(claims.next_due_ms).to eq(200)
  end

  it 'counts the window from when the granted request was sent' do
    wanted = attempt(1)
    claims.tick(0, 1)
    claims.tick(100, 0)
    expect(claims.granted(answer(1, 1), 51)).to eq([nil, nil]) # the second request may still be answered
    expect(claims.granted(answer(1, 7), 101)).to eq([nil, nil]) # nobody asked so
    expect(claims.granted(answer(1, 2), 149)).to eq([wanted, nil])
    expect(wanted.start_by_ms).to eq(150)
    expect(claims).to be_empty
  end

  it 'gives a step back when the window of its last request is over' do
    late = attempt(1)
    claims.tick(0, 1)
    expect(claims.granted(answer(1, 1), 51)).to eq([nil, late])
    expect(claims).to be_empty
    expect(claims.granted(answer(1, 1), 1)).to eq([nil, nil])
  end
end
