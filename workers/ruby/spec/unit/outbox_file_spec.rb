# frozen_string_literal: true

require 'spec_helper'

RSpec.describe TaskerWorker::OutboxFile do
  around do |example|
    Dir.mktmpdir do |dir|
      @dir = dir
      example.run
    end
  end

  let(:path) { File.join(@dir, 'outbox') }
  let(:messages) { StringIO.new }
  let(:log) { TaskerWorker::Log.new(io: messages) }

  def batch = '0198c5a4-7d1e-7c3a-9f10-2b6d5e4f3a21'
  def report(number, size = 10) = %(results {"x":"#{'ü' * size}","n":#{number}})
  def open_file = described_class.new(path, log: log)

  def fill(count, size = 10)
    file = open_file
    (1..count).each do |number|
      file.add('00ff12ab34cd56ef', batch, number, [[number, 1]], report(number, size))
    end
    expect(file.sync(0, durable: true)).to be(true)
    file
  end

  # What a process that was killed now would leave.
  def left
    file = open_file
    found = file.stored.to_h { |stored| [stored.sequence, stored] }
    %i[@file @lock].each { |name| file.instance_variable_get(name).close }
    found
  end

  it 'finds again what is not acknowledged, as it was' do
    file = fill(3)
    file.done(batch, 2)
    file.close
    expect(left.keys).to eq([1, 3])
    stored = left[3]
    expect(stored.to_a.first(4)).to eq(['00ff12ab34cd56ef', batch, 3, [[3, 1]]])
    expect(stored.frame).to eq(report(3).b)
  end

  it 'shrinks to its first line when nothing is left' do
    file = fill(3)
    (1..3).each { |number| file.done(batch, number) }
    file.close
    expect(File.binread(path)).to eq(described_class::MAGIC)
  end

  it 'loses only the record that was cut, wherever it is cut' do
    fill(2, 1).close
    whole = File.binread(path)
    ends = [described_class::MAGIC.bytesize]
    ends << (whole.index("\n".b, ends.last) + 1) while ends.last < whole.bytesize
    (0..whole.bytesize).each do |size|
      File.binwrite(path, whole.byteslice(0, size))
      complete = ends.drop(1).count { |finish| finish <= size }
      expect(left.keys).to eq((1..complete).to_a)
      expect(File.size(path)).to eq(ends[complete])
    end
  end

  it 'cuts off a torn end of garbage and goes on behind what is good' do
    fill(2).close
    File.open(path, 'ab') { |file| file.write("A 00000000 #{"\0" * 300}") }
    file = open_file
    file.add('00ff12ab34cd56ef', batch, 3, [], report(3))
    file.sync(0, durable: true)
    file.close
    expect(left.transform_values(&:steps)).to eq(1 => [[1, 1]], 2 => [[2, 1]], 3 => [])
    expect(messages.string).to include('torn end was cut off')
  end

  it 'refuses damage in the middle and changes nothing' do
    fill(3).close
    data = File.binread(path)
    data.setbyte(50, data.getbyte(50) ^ 1)
    File.binwrite(path, data)
    expect { open_file }.to raise_error(TaskerWorker::ConfigurationError, /line 2 is damaged/)
    expect(File.binread(path)).to eq(data)
  end

  it 'refuses a file of another kind and leaves it alone' do
    File.write(path, "my thesis\n")
    expect { open_file }.to raise_error(TaskerWorker::ConfigurationError, /is no outbox file/)
    expect(File.read(path)).to eq("my thesis\n")
  end

  it 'refuses a folder and a path that leads nowhere' do
    [@dir, File.join(@dir, 'no', 'outbox')].each do |wrong|
      expect do
        described_class.new(wrong, log: log)
      end.to raise_error(TaskerWorker::ConfigurationError, /--outbox/)
      expect(File.exist?("#{wrong}.lock")).to be(false)
    end
  end

  it 'belongs to one process at a time' do
    file = open_file
    expect { open_file }.to raise_error(TaskerWorker::ConfigurationError,
                                        /another worker uses it \(process #{Process.pid}\)/)
    file.close
    expect(left).to be_empty
  end

  it 'does not grow with what passes through' do
    file = fill(1, 1000)
    largest = 0
    (2..3000).each do |number|
      file.add('00ff12ab34cd56ef', batch, number, [], report(number, 1000))
      file.sync(0, durable: false)
      file.done(batch, number)
      largest = [largest, File.size(path)].max
    end
    expect(largest).to be_between(described_class::COMPACT_BYTES, described_class::COMPACT_BYTES + 30_000)
    file.close
    expect(left.keys).to eq([1])
  end

  it 'reads what the Python SDK writes, byte for byte' do
    line = '0123456789abcdef 0198c5a4-7d1e-7c3a-9f10-2b6d5e4f3a21 7 41:1,42:2 results {"a":"ü  b"}'
    File.binwrite(path, "tasker-outbox 1\nA #{format('%08x', Zlib.crc32(line))} #{line}\n")
    before = File.binread(path)
    stored = left[7]
    expect([stored.session, stored.steps]).to eq(['0123456789abcdef', [[41, 1], [42, 2]]])
    expect(stored.frame).to eq('results {"a":"ü  b"}'.b)
    file = open_file
    file.add(*stored.to_a)
    file.close
    expect(File.binread(path)).to eq(before + before.lines.last)
  end

  describe 'behind an outbox' do
    let(:file) { open_file }
    let(:outbox) { TaskerWorker::Outbox.new(limit: 3, bytes_max: 100, file: file) }

    after { file.close }

    def add(number, frame) = outbox.add('b', number, frame, [[number, 1]], 0, session: 'a' * 16)

    it 'gives reports out when they are on the disk, not before' do
      entry = add(1, 'one')
      expect(entry.unwritten).to be(true)
      expect(outbox.due(60_000) + outbox.resend_all(60_000)).to be_empty
      expect(outbox.flush(0).map(&:frame)).to eq(['one'])
      expect(File.read(path)).to include(' one')
      expect(outbox.flush(0)).to be_empty
      expect(outbox.due(1000).map(&:frame)).to eq(['one'])
    end

    it 'is full while the disk is, and loses nothing' do
      handle = file.instance_variable_get(:@file)
      allow(handle).to receive(:pwrite).and_raise(Errno::ENOSPC)
      add(1, 'one')
      expect(outbox.flush(0)).to be_empty
      expect([outbox.full?, outbox.next_flush_ms, outbox.unacked_steps]).to eq([true, 1000, [['b', 1, 1]]])
      allow(handle).to receive(:pwrite).and_call_original
      expect(outbox.flush(999)).to be_empty
      expect(outbox.flush(1000).map(&:frame)).to eq(['one'])
      expect([outbox.full?, outbox.next_flush_ms]).to eq([false, nil])
      expect(messages.string.scan('cannot be written').size).to eq(1)
    end

    it 'is bounded by bytes, which come back with the acks' do
      add(1, 'x' * 60)
      expect(outbox.full?).to be(false)
      add(2, 'x' * 60)
      expect(outbox.full?).to be(true)
      outbox.remove('b', 1)
      expect([outbox.full?, outbox.bytes, outbox.room_bytes, outbox.room_steps]).to eq([false, 60, 40, 1])
    end
  end
end
