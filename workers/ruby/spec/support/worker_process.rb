# frozen_string_literal: true

require 'securerandom'

# A worker as a real process, with its log kept for complaints.
class WorkerProcess
  attr_reader :pid

  def initialize(dir, *options, env: {}, endpoints: nil, stderr: nil)
    @log = File.join(dir, "worker-#{SecureRandom.hex(4)}.log")
    endpoints ||= ['--steps-endpoint', "ipc://#{dir}/steps", '--results-endpoint', "ipc://#{dir}/results"]
    @pid = spawn(env, RbConfig.ruby, File.join(SDK_ROOT, 'exe', 'tasker-worker'),
                 '--require', File.join(SDK_ROOT, 'spec', 'support', 'handlers.rb'), '--log-level', 'debug',
                 *endpoints, *options, chdir: dir, out: @log, err: stderr || %i[child out])
  end

  def log = File.read(@log)

  def signal(name) = Process.kill(name, @pid)

  # SIGSTOP, and returns when it has stopped.
  def freeze_process
    signal('STOP')
    Process.wait(@pid, Process::WUNTRACED)
  end

  # Exit code once the process has ended; nil when it still runs.
  def ended?
    return @status if @status

    _, status = Process.wait2(@pid, Process::WNOHANG)
    @status = status&.exitstatus || (status && -status.termsig)
  end

  def kill
    return if ended?

    Process.kill('KILL', @pid)
    Process.wait(@pid)
    @status = -9
  end
end
