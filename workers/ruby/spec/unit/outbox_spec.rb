# frozen_string_literal: true

require 'spec_helper'

RSpec.describe TaskerWorker::Outbox do
  subject(:outbox) { described_class.new(limit: 3, resend_ms: 1000) }

  def add(sequence, now, batch: 'b', steps: [[sequence, 1]])
    outbox.add(batch, sequence, "frame #{batch} #{sequence}", steps, now)
  end

  def sent(now) = outbox.due(now).map(&:frame)

  it 'sends again after 1, 2, 4 … 30 seconds' do
    add(1, 0)
    times = []
    now = 0
    while times.size < 8
      now = outbox.next_due_ms
      expect(sent(now - 1)).to be_empty
      times << (now - (times.sum { |time| time } || 0)) if sent(now) == ['frame b 1']
    end
    expect(times).to eq([1000, 2000, 4000, 8000, 16_000, 30_000, 30_000, 30_000])
  end

  it 'is never older than nothing' do
    add(1, 10.9)
    expect([outbox.oldest_ms(10), outbox.oldest_ms(20)]).to eq([0, 9])
  end

  it 'forgets what is acked, once' do
    add(1, 0)
    add(2, 0)
    expect(outbox.remove('b', 1).sequence).to eq(1)
    expect(outbox.remove('b', 1)).to be_nil
    expect(outbox.remove('x', 1)).to be_nil
    expect(sent(5000)).to eq(['frame b 2'])
    outbox.remove('b', 2)
    expect([outbox.empty?, outbox.next_due_ms, sent(100_000)]).to eq([true, nil, []])
  end

  it 'is full at its limit and has room again after an ack' do
    3.times { |index| add(index + 1, 0) }
    expect(outbox).to be_full
    outbox.remove('b', 2)
    expect(outbox).not_to be_full
  end

  it 'sends everything at once, in order of arrival, and starts its delays anew' do
    add(1, 0, batch: 'b')
    add(1, 10, batch: 'c')
    add(2, 20, batch: 'b')
    outbox.due(5000)
    expect(outbox.resend_all(6000).map(&:frame)).to eq(['frame b 1', 'frame c 1', 'frame b 2'])
    expect(outbox.next_due_ms).to eq(7000)
    expect(sent(6999)).to be_empty
    expect(sent(7000).size).to eq(3)
  end

  it 'tells which steps are unacked and since when' do
    add(1, 100, steps: [[7, 1], [8, 2]])
    add(2, 200, batch: 'c', steps: [])
    expect(outbox.unacked_steps).to eq([['b', 7, 1], ['b', 8, 2]])
    expect(outbox.oldest_ms(350)).to eq(250)
    outbox.remove('b', 1)
    expect(outbox.oldest_ms(350)).to eq(150)
    outbox.remove('c', 2)
    expect(outbox.oldest_ms(350)).to eq(0)
  end

  it 'finds the reports of a batch by sequence or step' do
    add(1, 0, steps: [[7, 1]])
    add(2, 0, steps: [[8, 1]])
    expect(outbox.of_batch('b').map(&:sequence)).to eq([1, 2])
    expect(outbox.of_batch('b', sequences: [2]).map(&:sequence)).to eq([2])
    expect(outbox.of_batch('b', step_ids: [7]).map(&:sequence)).to eq([1])
    expect(outbox.of_batch('x')).to be_empty
  end

  it 'agrees with a plain model under random use' do
    random = Random.new(RSpec.configuration.seed)
    box = described_class.new(limit: 10_000, resend_ms: 100)
    model = {}
    now = 0
    sequence = 0
    2000.times do
      now += random.rand(40)
      case random.rand(3)
      when 0
        box.add('b', sequence += 1, sequence.to_s, [], now)
        model[sequence] = [now + 100, 100]
      when 1
        victim = model.keys.sample(random: random)
        expect(box.remove('b', victim).nil?).to be(model.delete(victim).nil?) if victim
      else
        due = model.select { |_, (at, _)| at <= now }
        expect(box.due(now).map(&:sequence)).to match_array(due.keys)
        due.each { |key, (_, delay)| model[key] = [now + [delay * 2, 30_000].min, [delay * 2, 30_000].min] }
      end
      expect(box.size).to eq(model.size)
    end
  end
end
