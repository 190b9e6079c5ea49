# frozen_string_literal: true

require 'tasker_worker/testing'
require 'tempfile'

# `results_from`: the results of ancestors that are no direct parents, without a new dependency.
RSpec.describe 'results_from' do
  let(:names) { %w[plan write check publish aside] }

  def template(**publish)
    steps = [{ name: 'plan' }, { name: 'write', depends_on_step: 'plan' },
             { name: 'check', depends_on_steps: ['write'] },
             { name: 'publish', depends_on_steps: ['check'], **publish }, { name: 'aside' }]
    steps = steps.map { |step| { handler_class: 'P', **step } }
    file = Tempfile.new(['page', '.yaml'])
    file.write("namespace_name: press\nname: page\nversion: 1.0.0\nstep_templates: #{JSON.generate(steps)}\n")
    file.close
    (@files ||= []) << file
    file.path
  end

  def run(**publish, &ask)
    answer = lambda do |_task, sequence, step|
      step.name == 'publish' ? ask.call(sequence) : { 'by' => step.name }
    end
    TaskerWorker::Testing.run_template(template(**publish), stubs: names.to_h { |name| [name, answer] })
  end

  [['plan'], 'plan'].each do |written|
    it "delivers the results of the ancestor #{written.inspect}" do
      result = run(results_from: written, &:previous_results)
      expect(result.steps['publish'].output).to eq('check' => { 'by' => 'check' },
                                                   'plan' => { 'by' => 'plan' })
    end
  end

  it 'names what is delivered when something else is asked for' do
    result = run(results_from: ['plan']) { |sequence| sequence.get_results('write') }
    expect(result.steps['publish'].result.error['message'])
      .to eq('"write" is neither a direct parent of this step nor in its results_from; ' \
             'there are results of: check, plan')
    expect(run { |sequence| sequence.find_step_by_name('write') }.state).to eq('complete')
  end

  %w[aside publish nobody].each do |name|
    it "refuses #{name}, which is no ancestor" do
      expect { run(results_from: [name]) { nil } }
        .to raise_error(TaskerWorker::ConfigurationError,
                        /step publish: results_from names #{name}, which is no/)
    end
  end

  it 'suggests the ancestor that may have been meant' do
    expect { run(results_from: ['plann']) { nil } }
      .to raise_error(TaskerWorker::ConfigurationError, /did you mean plan/)
  end
end
