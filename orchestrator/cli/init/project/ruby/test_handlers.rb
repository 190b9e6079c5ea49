# frozen_string_literal: true

# Handlers and the whole workflow, in memory: no database, no network, no waiting.
require 'minitest/autorun'
require 'tasker_worker/testing'
require_relative 'handlers'

class TestGreeting < Minitest::Test
  def test_one_handler
    result = TaskerWorker::Testing.run_step(Hello::GreetHandler, context: { name: 'Ada' })
    assert_equal({ 'text' => 'Hello, Ada' }, result.output)
  end

  def test_nobody_to_greet_is_not_tried_again
    result = TaskerWorker::Testing.run_step(Hello::GreetHandler, context: { name: '' })
    assert_equal 'error', result.status
  end

  def test_the_whole_workflow
    run = TaskerWorker::Testing.run_template('config/tasks/greeting.yaml', context: { name: 'Ada' })
    assert_equal 'complete', run.state
    assert_equal({ 'text' => 'HELLO, ADA' }, run.steps['shout'].output)
  end
end
