"""order_fulfillment, the shipped example: one task crosses Ruby and Python and back."""

from __future__ import annotations

import json
from typing import Any

from checks import assert_all_consistent, assert_started_once
from parts import ROOT, SystemFactory, tasker
from workers import PYTHON_ORDERS, RUBY_ORDERS, orders

ORDERS = ROOT / "examples" / "orders.json"
REFUSED = {
    "ORD-1005": "shipping.country",
    "ORD-1016": "shipping.country",
    "ORD-1010": "items",
    "ORD-1021": "items",
}
RETRIED = {"ORD-1003", "ORD-1008", "ORD-1014", "ORD-1019"}


def test_the_shipped_orders_end_as_their_contents_demand(make_system: SystemFactory) -> None:
    system = make_system()
    ruby = system.ruby_worker(
        "ruby", RUBY_ORDERS, "--handlers", orders("ValidateOrder", "ShipOrder"), wait=False
    )
    served = orders("ReserveInventory", "ProcessPayment")
    system.python_worker("python", PYTHON_ORDERS, "--handlers", served)
    system.wait_for_worker("ruby", ruby)
    submitted = tasker(
        system.url, "task", "submit", "fulfillment/order_fulfillment", "--many", f"@{ORDERS}", "--json"
    )
    contexts = json.loads(ORDERS.read_text())
    assert len(json.loads(submitted.stdout)) == len(contexts) == 24
    system.wait_for_end()

    for task in system.rows("SELECT task_id, state, context FROM tasker_tasks"):
        assert task["context"] in contexts
        steps = system.steps(task["task_id"])
        if task["context"]["order_id"] in REFUSED:
            assert_refused(task, steps)
        else:
            assert_shipped(task, steps)
    workers = {entry["step_name"]: entry["worker"] for entry in system.effects()}
    assert workers["validate_order"] == workers["ship_order"] == "ruby"
    assert workers["reserve_inventory"] == workers["process_payment"] == "python"
    assert_started_once(system)
    assert_all_consistent(system)


def assert_refused(task: dict[str, Any], steps: dict[str, dict[str, Any]]) -> None:
    assert task["state"] == "error"
    assert steps["validate_order"]["state"] == "error" and steps["validate_order"]["attempts"] == 1
    assert REFUSED[task["context"]["order_id"]] in json.dumps(steps["validate_order"]["error"])
    assert all(
        steps[name]["attempts"] == 0 for name in ("reserve_inventory", "process_payment", "ship_order")
    )


def assert_shipped(task: dict[str, Any], steps: dict[str, dict[str, Any]]) -> None:
    context = task["context"]
    assert task["state"] == "complete"
    assert all(step["state"] == "complete" for step in steps.values())
    tries = {name: step["attempts"] for name, step in steps.items()}
    payments = 2 if context["order_id"] in RETRIED else 1
    assert tries == {
        "validate_order": 1,
        "reserve_inventory": 1,
        "process_payment": payments,
        "ship_order": 1,
    }
    total = sum(item["quantity"] * item["unit_price_cents"] for item in context["items"])
    assert steps["validate_order"]["results"]["order_total_cents"] == total
    assert steps["process_payment"]["results"]["amount_cents"] == total
    shipment = steps["ship_order"]["results"]
    assert shipment["ship_to"] == context["shipping"]
    assert shipment["payment_id"] == steps["process_payment"]["results"]["payment_id"]
