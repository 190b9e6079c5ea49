# frozen_string_literal: true

require 'json'

# The complete lines of a side-effects log: the worker may be in the middle of writing the last one.
def effects_in(path)
  File.readlines(path).filter_map { |line| JSON.parse(line) if line.end_with?("\n") }
end
