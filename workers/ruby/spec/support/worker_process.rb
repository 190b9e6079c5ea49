# frozen_string_literal: true

require 'yaml'
require 'securerandom'

# A worker as a real process, with its log kept for complaints.
class WorkerProcess
  STEPS = %w[Echo Fail Gate Busy BadOutput].freeze

  attr_reader :pid

  def self.write_templates(dir)
    Dir.mkdir(dir)
    steps = STEPS.map do |name|
      { 'name' => name.downcase, 'handler_class' => "Spec::#{name}Handler",
        'handler_config' => { 'from' => 'template' } }
    end
    template = { 'name' => 'flow', 'namespace_name' => 'spec', 'version' => '1.0.0',
                 'step_templates' => steps }
    File.write(File.join(dir, 'flow.yaml'), YAML.dump(template))
  end

  def initialize(dir, *options, env: {}, endpoints: nil)
    @log = File.join(dir, "worker-#{SecureRandom.hex(4)}.log")
    templates = File.join(dir, 'templates')
    self.class.write_templates(templates) unless Dir.exist?(templates)
    endpoints ||= ['--steps-endpoint', "ipc://#{dir}/steps", '--results-endpoint', "ipc://#{dir}/results"]
    @pid = spawn(env, RbConfig.ruby, File.join(SDK_ROOT, 'exe', 'tasker-worker'), '--templates', templates,
                 '--require', File.join(SDK_ROOT, 'spec', 'support', 'handlers.rb'), '--log-level', 'debug',
                 *endpoints, *options, chdir: dir, out: @log, err: %i[child out])
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
