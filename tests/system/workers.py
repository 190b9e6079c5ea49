"""Which files make a worker of the SDKs serve which example."""

from parts import ROOT, Process, System

PYTHON_PATTERNS = [ROOT / "workers/python/examples/patterns.py", ROOT / "workers/python/samples/noop.py"]
RUBY_PATTERNS = [ROOT / "workers/ruby/examples/patterns.rb", ROOT / "workers/ruby/samples/noop.rb"]
PYTHON_ORDERS = [ROOT / "workers/python/examples/order_fulfillment.py"]
RUBY_ORDERS = [ROOT / "workers/ruby/examples/order_fulfillment.rb"]

NOOP = "Bench::NoopHandler"
ECHO = "Patterns::StepHandlers::EchoHandler"
SLEEP = "Patterns::StepHandlers::SleepHandler"


def orders(*names: str) -> str:
    """The option --handlers for steps of order_fulfillment, by the short names of their classes."""
    return ",".join(f"OrderFulfillment::StepHandlers::{name}Handler" for name in names)


def sdk_worker(system: System, language: str, *options: str) -> Process:
    """A worker with the handlers of sdk_handlers.*, named like its language."""
    handlers = ROOT / "tests/system" / ("sdk_handlers.py" if language == "python" else "sdk_handlers.rb")
    start = system.python_worker if language == "python" else system.ruby_worker
    return start(language, [handlers], *options)


def chain(name: str, handler_class: str, length: int, **step_options: object) -> dict[str, object]:
    """A template whose steps s1, s2 … follow each other."""
    steps: list[dict[str, object]] = []
    for number in range(1, length + 1):
        parents = [f"s{number - 1}"] if number > 1 else []
        steps.append(
            {
                "name": f"s{number}",
                "handler_class": handler_class,
                "depends_on_steps": parents,
                **step_options,
            }
        )
    return {"name": name, "namespace_name": "tests", "version": "1.0.0", "step_templates": steps}
