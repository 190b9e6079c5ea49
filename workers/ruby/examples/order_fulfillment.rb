# frozen_string_literal: true

require 'digest'

# An order's way: validate → reserve → pay → ship. The same four handlers exist in Python with the same
# outputs; a deployment picks per step which language serves it (`--handlers`).
module OrderFulfillment
  module StepHandlers
    # What all four share.
    module Support
      private

      # Stands for the time a real service takes; 0 unless handler_config.simulate_ms says otherwise.
      def simulate(step)
        millis = step.handler_config.fetch('simulate_ms', 0)
        sleep(millis / 1000.0) if millis.positive?
      end

      # The same for every attempt of a step, so a repeated attempt finds what an earlier one made.
      def reference(prefix, step)
        "#{prefix}-#{Digest::SHA256.hexdigest(step.idempotency_key)[0, 12]}"
      end

      def parent(sequence, name)
        sequence.get_results(name) ||
          raise(TaskerWorker::NotFoundError.new("step #{name} left no results",
                                                resource_type: 'step_results'))
      end
    end

    # Refuses orders that no retry can mend, and computes the total.
    class ValidateOrderHandler < TaskerWorker::StepHandler
      include Support

      COUNTRIES = %w[AT BE CA CH DE DK ES FI FR GB IE IT NL NO PL PT SE US].freeze
      MAX_ITEMS = 50

      def process(task, _sequence, step)
        simulate(step)
        items = task.context['items']
        check_items(items, step.handler_config.fetch('max_items', MAX_ITEMS))
        country = task.context.dig('shipping', 'country')
        refuse('shipping.country', "we do not ship to #{country.inspect}") unless COUNTRIES.include?(country)

        { 'order_id' => task.context['order_id'],
          'order_total_cents' => items.sum { |item| item['quantity'] * item['unit_price_cents'] },
          'item_count' => items.sum { |item| item['quantity'] },
          'line_count' => items.size,
          'country' => country,
          'valid' => true }
      end

      private

      def check_items(items, max)
        refuse('items', 'an order needs at least one item') unless items.is_a?(Array) && !items.empty?
        refuse('items', "#{items.size} items, at most #{max} are allowed") if items.size > max
        items.each_with_index do |item, index|
          quantity = item['quantity']
          next if quantity.is_a?(Integer) && quantity >= 1

          refuse("items[#{index}].quantity", "quantity must be 1 or more, got #{quantity.inspect}")
        end
      end

      def refuse(field, message)
        raise TaskerWorker::ValidationError.new(message, field: field)
      end
    end

    # Reserves the goods under an id that every attempt computes alike.
    class ReserveInventoryHandler < TaskerWorker::StepHandler
      include Support

      def process(task, _sequence, step)
        simulate(step)
        items = task.context['items'].map do |item|
          { 'sku' => item['sku'], 'quantity' => item['quantity'], 'reserved' => true }
        end
        { 'reservation_id' => reference('res', step), 'items' => items }
      end
    end

    # Charges the card. `tok_flaky` meets a gateway time-out at the first attempt, `tok_declined` is
    # refused for good.
    class ProcessPaymentHandler < TaskerWorker::StepHandler
      include Support

      def process(task, sequence, step)
        simulate(step)
        validated = parent(sequence, 'validate_order') # by results_from
        token = task.context.dig('payment', 'card_token')
        charge(token, step)
        { 'payment_id' => reference('pay', step), 'amount_cents' => validated['order_total_cents'],
          'method' => task.context.dig('payment', 'method'), 'status' => 'captured' }
      end

      private

      def charge(token, step)
        if token == 'tok_declined'
          raise TaskerWorker::PermanentError.new('the card was declined', error_code: 'card_declined')
        end
        return unless token == 'tok_flaky' && step.attempt == 1

        raise TaskerWorker::RetryableError.new('the payment gateway timed out',
                                               retry_after: step.handler_config['retry_after_seconds'])
      end
    end

    # Hands the parcel to the carrier of the country.
    class ShipOrderHandler < TaskerWorker::StepHandler
      include Support

      CARRIERS = { 'US' => 'UPS', 'CA' => 'UPS', 'GB' => 'Royal Mail', 'DE' => 'DHL' }.freeze
      OTHER_CARRIER = 'DHL Express'

      def process(task, sequence, step)
        simulate(step)
        payment = parent(sequence, 'process_payment')
        country = task.context.dig('shipping', 'country')
        { 'tracking_number' => reference('trk', step).upcase,
          'carrier' => CARRIERS.fetch(country, OTHER_CARRIER),
          'ship_to' => task.context['shipping'], 'payment_id' => payment['payment_id'] }
      end
    end
  end
end
