# frozen_string_literal: true

require 'spec_helper'
require 'open3'
require 'timeout'

# What the program answers when a file cannot be loaded, or holds nothing that is served. Each in a process of
# its own: a class that was loaded once stays declared.
RSpec.describe 'tasker-worker --require' do
  around { |example| Dir.mktmpdir { |dir| Dir.chdir(dir) { example.run } } }

  # The one line with which a start ends.
  def complaint(*argv, ruby: [])
    clean = ENV.keys.grep(/\ATASKER_/).to_h { |name| [name, nil] }
    exe = File.join(SDK_ROOT, 'exe', 'tasker-worker')
    text, status = Timeout.timeout(60) { Open3.capture2e(clean, RbConfig.ruby, *ruby, exe, *argv) }
    expect([status.exitstatus, text.lines.size]).to eq([2, 1]), text
    text
  end

  def handler(name, base = '') = "  class #{name}#{base}\n    def process(task, sequence, step) = 1\n  end\n"

  it 'names the classes that look like handlers, with the line to write' do
    classes = [handler('Shout'), handler('Greet')].join
    File.write('hello.rb', "module Hello\n  class Unrelated; end\n#{classes}end\n")
    text = complaint('--require', './hello.rb')
    expect(text).to include('there is no handler to serve: ./hello.rb defines none; write class Shout < ' \
                            'TaskerWorker::StepHandler (hello.rb:3); write class Greet < ',
                            '(hello.rb:6)')
    expect(text).not_to include('Unrelated')
    expect(complaint('--require', './hello.rb', '--handlers', 'Hello::Shuot'))
      .to include('Hello::Shuot is missing', 'write class Shout < TaskerWorker::StepHandler (hello.rb:3)')
  end

  it 'shows the first three of them' do
    File.write('many.rb', (1..5).map { |number| handler("H#{number}") }.join)
    text = complaint('--require', './many.rb')
    expect(text).to include('class H3 <', ', and so for 2 more').and(satisfy { |t| !t.include?('class H4') })
  end

  it 'names a file without any such class' do
    File.write('empty.rb', "module Hello\nend\n")
    expect(complaint('--require', './empty.rb'))
      .to include('./empty.rb has no class with a public method process(task, sequence, step)')
  end

  { './hello.py' => 'it is no Ruby file: its name must end in .rb', 'hello.py' => 'it is no Ruby file',
    './folder' => 'it is a folder', './absent.rb' => 'there is no such file',
    'absent' => 'cannot load such file',
    './asks.rb' => 'cannot load such file -- no_such_library (%<dir>s/asks.rb:2:in',
    './syntax.rb' => 'SyntaxError: %<dir>s/syntax.rb:3: ',
    './inner.rb' => 'SyntaxError: %<dir>s/syntax.rb:3: ',
    './raises.rb' => 'NameError: undefined local variable or method' }.each do |file, message|
    it "explains what is wrong with #{file}" do
      Dir.mkdir('folder')
      File.write('hello.py', "print(1)\n")
      File.write('asks.rb', "\nrequire 'no_such_library'\n")
      File.write('syntax.rb', "x = [\n\nend\n")
      File.write('inner.rb', "require_relative 'syntax'\n")
      File.write('raises.rb', "\nnot_defined\n")
      text = complaint('--require', file)
      expect(text).to include(format(message, dir: Dir.pwd)).and(satisfy { |t| !t.include?('<internal:') })
    end
  end

  %w[Hello::Shout Shout Hello::ShoutHandlers Hello.ShoutHandler].each do |asked|
    it "suggests the class that is nearly named by #{asked}" do
      File.write('hello.rb', "module Hello\n#{handler('ShoutHandler', ' < TaskerWorker::StepHandler')}end\n")
      expect(complaint('--require', './hello.rb', '--handlers', asked))
        .to include('; did you mean Hello::ShoutHandler?')
    end
  end

  [['--requier x.rb', '--require'], ['--requier=x.rb', '--require'], ['--capasity 3', '--capacity'],
   ['./it.rb', '--require ./it.rb']].each do |argv, meant|
    it "answers #{argv} with what was meant" do
      File.write('it.rb', '')
      expect(complaint(*argv.split)).to include("; did you mean #{meant}?")
    end
  end

  { 'ffi-rzmq' => 'ruby-ffi-rzmq', 'concurrent' => 'ruby-concurrent', 'dry-types' => 'ruby-dry-types' }
    .each do |library, package|
    it "names the interpreter that lacks #{library}" do
      File.write("#{library}.rb", <<~RUBY)
        raise LoadError.new('cannot load').tap { |error| error.instance_variable_set(:@path, '#{library}') }
      RUBY
      expect(complaint('--help', ruby: ['-I', Dir.pwd]))
        .to include("tasker-worker: #{RbConfig.ruby} has no library #{library}: ", package)
    end
  end
end
