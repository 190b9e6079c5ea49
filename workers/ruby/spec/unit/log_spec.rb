# frozen_string_literal: true

require 'spec_helper'

RSpec.describe TaskerWorker::Log do
  let(:io) { StringIO.new }

  def lines
    io.string.lines.map do |line|
      expect(line).to match(/\Atime=\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z /)
      line.chomp.split(' ', 2).last
    end
  end

  it 'writes time, level and event, then who speaks, then the facts' do
    log = described_class.new(io: io).with(worker_id: 'w 1')
    log.info('worker starts', handlers: 'A,B::C')
    log.set(session: 'a' * 16)
    log.warn('step "x"', task_id: 7, step_id: 9, attempt: 2, error: "two\nlines", error_code: nil)
    log.set(session: 'b' * 16)
    log.error('goodbye')
    expect(lines).to eq(
      ['level=info msg="worker starts" worker_id="w 1" handlers=A,B::C',
       "level=warn msg=\"step \\\"x\\\"\" worker_id=\"w 1\" session=#{'a' * 16} task_id=7 step_id=9 " \
       'attempt=2 error="two\nlines"',
       "level=error msg=goodbye worker_id=\"w 1\" session=#{'b' * 16}"]
    )
  end

  it 'leaves out what is below its level, and survives a log that cannot be written' do
    log = described_class.new(level: 'warn', io: io)
    log.info('nothing')
    log.debug('nothing')
    expect([io.string, log.debug?]).to eq(['', false])
    io.close
    expect { log.error('nowhere') }.not_to raise_error
  end

  it 'escapes what a terminal would obey' do
    described_class.new(io: io).info('x', a: "\e[31m\u202eabc\u009b")
    expect(lines).to eq(['level=info msg=x a="\u001b[31m\u202eabc\u009b"'])
  end
end

RSpec.describe TaskerWorker::LogWriter do
  # Its reader takes a line only when the test asks for it.
  let(:io) do
    Class.new do
      attr_reader :taken

      def initialize
        @gate = Queue.new
        @taken = Queue.new
      end

      def write(line) = @gate.pop && @taken.push(line)
      def open(times) = times.times { @gate.push(true) }
    end.new
  end

  def within(seconds)
    from = Process.clock_gettime(Process::CLOCK_MONOTONIC)
    yield
    expect(Process.clock_gettime(Process::CLOCK_MONOTONIC) - from).to be < seconds
  end

  it 'does not wait for a reader, keeps what fits, and counts the rest' do
    log = TaskerWorker::Log.new(io: described_class.new(io, lines_max: 4)).with(worker_id: 'w')
    within(5) { 100.times { |n| log.info("line #{n}") } }
    io.open(5)
    texts = 5.times.map { io.taken.pop }
    expect(texts.grep(/"line \d"/).size).to eq(4)
    expect(texts.last).to match(/level=warn msg="log lines dropped" worker_id=w lines=9\d\n/)
  end

  it 'keeps a bound in bytes, whatever one line weighs' do
    writer = described_class.new(io, bytes_max: 100)
    TaskerWorker::Log.new(io: writer)
    writer.write('a' * 1000)
    writer.write('b' * 1000)
    io.open(2)
    expect(2.times.map { io.taken.pop[0, 5] }).to eq(%w[aaaaa time=])
  end

  it 'waits at its end for what is read, not for ever' do
    writer = described_class.new(io)
    writer.write('a')
    within(5) { writer.close(0.05) }
    io.open(1)
    writer.close(10)
    expect(io.taken.pop).to eq('a')
  end

  it 'goes on when a handler kills its thread' do
    before = Thread.list
    writer = described_class.new(io)
    writer.write('a')
    io.open(1)
    io.taken.pop
    writer.close(10)
    (Thread.list - before).each(&:kill).each(&:join)
    writer.write('b')
    io.open(2)
    expect(io.taken.pop).to eq('b')
  end
end
