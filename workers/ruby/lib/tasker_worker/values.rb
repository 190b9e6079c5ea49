# frozen_string_literal: true

module TaskerWorker
  # Base of the immutable objects handlers receive. Attributes are declared with their types; `new`
  # checks them (ArgumentError naming class and attribute) and freezes the object.
  class Value
    class << self
      def attribute(name, type)
        attributes[name] = type
        attr_reader name
      end

      def attributes
        @attributes ||= {}
      end
    end

    def initialize(**given)
      schema = self.class.attributes
      unknown = given.keys - schema.keys
      raise ArgumentError, "#{self.class.name}: unknown attribute #{unknown.first}" unless unknown.empty?

      schema.each do |name, type|
        value = given[name]
        unless type.valid?(value)
          raise ArgumentError, "#{self.class.name}: #{name} cannot be #{value.inspect[0, 80]}"
        end

        instance_variable_set(:"@#{name}", value)
      end
      freeze
    end

    def to_h
      self.class.attributes.keys.to_h { |name| [name, public_send(name)] }
    end

    def ==(other) = other.instance_of?(self.class) && other.to_h == to_h
    alias eql? ==
    def hash = [self.class, to_h].hash
  end

  # The task a step belongs to. +context+ is the submitted JSON object, deeply frozen, keys are strings.
  class Task < Value
    attribute :task_id, Wire::Types::Id
    attribute :namespace, Wire::Types::Text
    attribute :name, Wire::Types::Text
    attribute :version, Wire::Types::Text
    attribute :context, Wire::Types::Map
  end

  # A finished step whose results are delivered: its name and its results (nil when it stored none).
  class ParentStep < Value
    attribute :name, Wire::Types::Text
    attribute :results, Wire::Types::Any
  end

  # What is known around the step: its place in the batch, and the results of its direct parents and of those
  # in its +results_from+.
  class Sequence < Value
    attribute :sequence_number, Wire::Types::Ordinal
    attribute :total_steps, Wire::Types::Ordinal
    attribute :previous_results, Wire::Types::Map

    # Results of the step +name+; nil when it stored none. Raises NotFoundError (the step ends in error) when
    # they are not delivered, since it is neither a direct parent nor in the template's +results_from+: a
    # misspelt name must not put nil into what is stored. `find_step_by_name` asks without that.
    def get_results(name)
      previous_results.fetch(name.to_s) do |key|
        known = previous_results.keys.sort.join(', ')
        known = 'none, since this step has no parents' if known.empty?
        raise NotFoundError.new("#{key.inspect[0, 200]} is neither a direct parent of this step nor in its " \
                                "results_from; there are results of: #{known}", resource_type: 'step_results')
      end
    end

    # The step +name+ as ParentStep, or nil when its results are not delivered.
    def find_step_by_name(name)
      key = name.to_s
      ParentStep.new(name: key, results: previous_results[key]) if previous_results.key?(key)
    end
  end

  # Set once, by the socket thread; read by the handler's thread.
  class CancelFlag
    def initialize
      @reason = nil
    end

    attr_reader :reason

    # The last reason counts: a handler that ignored a cancel can still run out of time.
    def set(reason)
      @reason = reason.to_s
    end

    def set? = !@reason.nil?
  end

  # The attempt at hand. +attempt+ counts every delivery, from 1. +tries_left+ is how many attempts may come
  # after this one: 0 says that this is the last. +timeout_ms+ counts from the handler's start;
  # +idempotency_key+ is the same for all attempts of a step.
  class Step < Value
    attribute :step_id, Wire::Types::Id
    attribute :name, Wire::Types::Text
    attribute :handler_class, Wire::Types::Name
    attribute :handler_config, Wire::Types::Map
    attribute :attempt, Wire::Types::Ordinal
    attribute :retry_limit, Wire::Types::Ordinal
    attribute :tries_left, Wire::Types::Count
    attribute :timeout_ms, Wire::Types::Millis
    attribute :idempotency_key, Wire::Types::Text
    attribute :claim_first, Wire::Types::Flag
    attribute :cancel_flag, Wire::Types::Any

    # True once the orchestrator has cancelled this attempt, its time is over, or its worker leaves soon.
    # A long handler asks now and then and ends early.
    def cancelled?
      cancel_flag.set?
    end

    # Why it is not wanted: the words of whoever cancelled it, `timeout`, or `draining` shortly before a drain
    # ends; nil while it is wanted.
    def cancel_reason = cancel_flag.reason

    def to_h = super.except(:cancel_flag)
  end

  # Builds the value objects of one delivered step from a decoded step_batch_request. The codec has
  # checked the same types already, so this path skips the second check: it runs for every step.
  module StepValues
    module_function

    def task(request)
      build(Task, :@task_id => request['task_id'], :@namespace => request['namespace'],
                  :@name => request['task_name'], :@version => request['task_version'],
                  :@context => request['task_context'])
    end

    def sequence(request)
      metadata = request['metadata']
      build(Sequence, :@sequence_number => metadata['sequence'], :@total_steps => metadata['total_steps'],
                      :@previous_results => request['previous_results'])
    end

    def step(request, cancel_flag)
      metadata = request['metadata']
      build(Step, :@step_id => request['step_id'], :@name => request['step_name'],
                  :@handler_class => request['handler_class'], :@handler_config => request['handler_config'],
                  :@attempt => metadata['attempt'], :@retry_limit => metadata['retry_limit'],
                  :@tries_left => tries_left(metadata),
                  :@timeout_ms => metadata['timeout_ms'], :@idempotency_key => metadata['idempotency_key'],
                  :@claim_first => metadata['claim_first'] == true, :@cancel_flag => cancel_flag)
    end

    # An older orchestrator does not send it; so many there are at least.
    def tries_left(metadata)
      metadata['tries_left'] || [metadata['retry_limit'] - metadata['attempt'], 0].max
    end

    def build(klass, variables)
      object = klass.allocate
      variables.each { |name, value| object.instance_variable_set(name, value) }
      object.freeze
    end
  end
end
