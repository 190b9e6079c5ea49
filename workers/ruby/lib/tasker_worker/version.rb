# frozen_string_literal: true

module TaskerWorker
  VERSION = '1.0.0'
end
