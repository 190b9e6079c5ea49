"""An order's way: validate → reserve → pay → ship.

The same four handlers exist in Ruby with the same outputs; a deployment picks per step which language
serves it (`--handlers`). All are deterministic: what they make up is derived from the idempotency key,
which is the same for every attempt of a step, so a repeated attempt finds what an earlier one made.
"""

import hashlib
import time

from tasker_worker import (
    NotFoundError,
    PermanentError,
    RetryableError,
    StepHandler,
    ValidationError,
    handler,
)

COUNTRIES = frozenset("AT BE CA CH DE DK ES FI FR GB IE IT NL NO PL PT SE US".split())
MAX_ITEMS = 50
CARRIERS = {"US": "UPS", "CA": "UPS", "GB": "Royal Mail", "DE": "DHL"}
OTHER_CARRIER = "DHL Express"


def simulate(step):
    """Stands for the time a real service takes; 0 unless handler_config.simulate_ms says otherwise."""
    ms = step.handler_config.get("simulate_ms", 0)
    if ms > 0:
        time.sleep(ms / 1000)


def reference(prefix, step):
    return f"{prefix}-{hashlib.sha256(step.idempotency_key.encode()).hexdigest()[:12]}"


def parent(sequence, name):
    """The results of a step that must have left some."""
    results = sequence.get_results(name)
    if results is None:
        raise NotFoundError(f"step {name} left no results", resource_type="step_results")
    return results


@handler("OrderFulfillment::StepHandlers::ValidateOrderHandler")
class ValidateOrder(StepHandler):
    """Refuses orders that no retry can mend, and computes the total."""

    def process(self, task, sequence, step):
        simulate(step)
        items = task.context.get("items")
        self.check_items(items, step.handler_config.get("max_items", MAX_ITEMS))
        country = (task.context.get("shipping") or {}).get("country")
        if country not in COUNTRIES:
            raise ValidationError(f"we do not ship to {country!r}", field="shipping.country")
        return {
            "order_id": task.context.get("order_id"),
            "order_total_cents": sum(item["quantity"] * item["unit_price_cents"] for item in items),
            "item_count": sum(item["quantity"] for item in items),
            "line_count": len(items),
            "country": country,
            "valid": True,
        }

    def check_items(self, items, most):
        if not isinstance(items, list) or not items:
            raise ValidationError("an order needs at least one item", field="items")
        if len(items) > most:
            raise ValidationError(f"{len(items)} items, at most {most} are allowed", field="items")
        for index, item in enumerate(items):
            quantity = item.get("quantity")
            if type(quantity) is not int or quantity < 1:
                raise ValidationError(
                    f"quantity must be 1 or more, got {quantity!r}", field=f"items[{index}].quantity"
                )


@handler("OrderFulfillment::StepHandlers::ReserveInventoryHandler")
class ReserveInventory(StepHandler):
    """Reserves the goods."""

    def process(self, task, sequence, step):
        simulate(step)
        return {
            "reservation_id": reference("res", step),
            "items": [
                {"sku": item.get("sku"), "quantity": item["quantity"], "reserved": True}
                for item in task.context["items"]
            ],
        }


@handler("OrderFulfillment::StepHandlers::ProcessPaymentHandler")
class ProcessPayment(StepHandler):
    """Charges the card. `tok_flaky` meets a gateway time-out at the first attempt, `tok_declined` is
    refused for good."""

    def process(self, task, sequence, step):
        simulate(step)
        validated = parent(sequence, "validate_order")  # by results_from
        payment = task.context.get("payment") or {}
        if payment.get("card_token") == "tok_declined":
            raise PermanentError("the card was declined", error_code="card_declined")
        if payment.get("card_token") == "tok_flaky" and step.attempt == 1:
            raise RetryableError(
                "the payment gateway timed out", retry_after=step.handler_config.get("retry_after_seconds")
            )
        return {
            "payment_id": reference("pay", step),
            "amount_cents": validated["order_total_cents"],
            "method": payment.get("method"),
            "status": "captured",
        }


@handler("OrderFulfillment::StepHandlers::ShipOrderHandler")
class ShipOrder(StepHandler):
    """Hands the parcel to the carrier of the country."""

    def process(self, task, sequence, step):
        simulate(step)
        payment = parent(sequence, "process_payment")
        shipping = task.context.get("shipping") or {}
        return {
            "tracking_number": reference("trk", step).upper(),
            "carrier": CARRIERS.get(shipping.get("country"), OTHER_CARRIER),
            "ship_to": shipping,
            "payment_id": payment["payment_id"],
        }
