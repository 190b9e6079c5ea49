# frozen_string_literal: true

# Submits Sidekiq's work, hosts its worker, says "begin" and "end"; see node/common.mjs for what that is.
require 'json'

OPTIONS = JSON.parse(ARGV.fetch(0))
ENV['PEER_REDIS'] = OPTIONS.fetch('redis')
require_relative 'jobs'

QUEUE = 'queue:default'
HELD = 'held'
WARM_UP_TASKS = 100
WARM_UP_SAMPLES = 20
CLIENT = Redis.new(path: OPTIONS.fetch('redis'))

def now
  Process.clock_gettime(Process::CLOCK_MONOTONIC)
end

def say(event, **facts)
  puts JSON.generate({ event: event, **facts })
  $stdout.flush
  $stdin.gets
end

# The kernel ends the worker when the driver dies, also by SIGKILL.
def with_worker
  command = %w[setpriv --pdeathsig KILL sidekiq --environment production --queue default]
  command += ['--require', File.join(__dir__, 'jobs.rb')]
  command += ['--concurrency', OPTIONS['settings']['concurrency'].to_s]
  pid = spawn(*command, out: :err)
  deadline = now + 30
  until CLIENT.scard('processes').positive?
    abort 'the Sidekiq worker did not come up' if Process.wait(pid, Process::WNOHANG) || now > deadline
    sleep 0.05
  end
  yield
ensure
  end_worker(pid) if pid
end

def end_worker(pid)
  Process.kill('TERM', pid)
  Process.wait(pid)
rescue Errno::ESRCH, Errno::ECHILD
  nil
end

def submit(count)
  (0...count).each_slice(1000) do |numbers|
    orders = numbers.map { |number| [{ 'order' => number, 'note' => 'benchmark' }] }
    Sidekiq::Client.push_bulk('class' => Step1, 'args' => orders)
  end
end

def wait_for(finished)
  sleep 0.002 while CLIENT.get('finished').to_i < finished
end

def chain4(tasks)
  submit(tasks)
  # The backlog is put aside until the worker has started and is warm.
  CLIENT.rename(QUEUE, HELD)
  with_worker do
    submit(WARM_UP_TASKS)
    wait_for(WARM_UP_TASKS)
    say('begin')
    started = now
    CLIENT.rename(HELD, QUEUE)
    wait_for(WARM_UP_TASKS + tasks)
    say('end', steps: tasks * 4, seconds: now - started)
  end
end

def one(number)
  started = now
  Single.perform_async('order' => number, 'note' => 'benchmark')
  CLIENT.brpop("result:#{number}", timeout: 10) || abort('a job did not complete within 10 s')
  (now - started) * 1000
end

def latency(samples)
  with_worker do
    WARM_UP_SAMPLES.times { |number| one(number) }
    say('begin')
    begun = now
    latencies = Array.new(samples) { |number| one(WARM_UP_SAMPLES + number) }
    say('end', steps: samples, seconds: now - begun, latencies_ms: latencies)
  end
end

case OPTIONS['workload']
when 'chain4' then chain4(OPTIONS['tasks'])
when 'latency' then latency(OPTIONS['samples'])
else abort "Sidekiq cannot do #{OPTIONS['workload']}"
end
