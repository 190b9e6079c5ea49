"""The command line of a worker process."""

import argparse
import logging
import os
import signal
import sys
from typing import Any, List, NoReturn, Optional, Tuple

from . import handlers, logs, registry, settings, templates
from .errors import ConfigurationError
from .settings import Settings
from .version import SDK_VERSION
from .worker import Worker

EXIT_CONFIGURATION = 2

DESCRIPTION = """\
Runs step handlers for a Tasker orchestrator.

The handler classes come from the task templates (--templates); the code that implements them comes from
your modules or files (--import). Classes that resolve are served, the others are left to other workers
(one task may cross languages). With --handlers exactly those classes are served."""

EPILOG = """\
examples:
  # serve the example workflow, everything on default endpoints
  /usr/bin/python3 -m tasker_worker --import workers/python/examples/order_fulfillment.py

  # only two of its handlers, four steps at once, over ipc
  /usr/bin/python3 -m tasker_worker --import shop.handlers --capacity 4 \\
      --handlers Shop::ReserveHandler,Shop::PayHandler \\
      --steps-endpoint ipc:///run/tasker/steps --results-endpoint ipc:///run/tasker/results

environment:
  TASKER_WORKER_STEPS_ENDPOINT,     where to connect (comma-separated list); these win over
  TASKER_WORKER_RESULTS_ENDPOINT
  TASKER_STEPS_ENDPOINT,            the same for the whole system; * is loopback
  TASKER_RESULTS_ENDPOINT
  TASKER_ENV                        which `environments` overrides apply (default development)
  TASKER_EFFECTS_LOG                a file that gets a line at each handler's start and end

signals:
  SIGTERM, SIGINT   drain: hand back what has not started, finish the rest, wait for the acks;
                    a second one says goodbye and exits, a third one exits at once

exit codes:
  0 drained   1 crashed   2 bad option, configuration, template, handler or outbox file
  3 refused by the orchestrator   4 the drain limit was reached with work left"""


# (flag, metavar, type, default, help); a list may be given several times
OPTIONS: List[Tuple[Tuple[str, ...], str, type, Any, str]] = [
    (("--import",), "MODULE_OR_FILE", list, None, "your handlers: a module name or a .py file; repeatable"),
    (("--templates",), "DIR", str, None, f"task templates, *.yaml (default {settings.DEFAULT_TEMPLATES})"),
    (
        ("--handlers",),
        "CLASS,...",
        list,
        None,
        "serve exactly these handler classes; a missing one stops the start; repeatable",
    ),
    (
        ("--config",),
        "FILE",
        str,
        None,
        "a zeromq.yaml whose step_execution.handler_step_subscriber and .handler_result_publisher say where"
        " to connect",
    ),
    (
        ("--steps-endpoint",),
        "ENDPOINT",
        list,
        None,
        f"where the orchestrator publishes steps (default {settings.DEFAULT_STEPS_ENDPOINT}); repeatable",
    ),
    (
        ("--results-endpoint",),
        "ENDPOINT",
        list,
        None,
        f"where it takes results (default {settings.DEFAULT_RESULTS_ENDPOINT}); repeatable",
    ),
    (("--worker-id",), "NAME", str, None, "stable name of this worker (default HOST-python)"),
    (("--capacity",), "N", int, 10, "steps that run at once, 1 to 1000 (default 10)"),
    (("--prefetch",), "N", int, 2, "in hand are at most capacity x prefetch steps, 1 to 100 (default 2)"),
    (("--namespace",), "NS", list, None, "announce this namespace; repeatable (default: the templates')"),
    (
        ("--outbox-limit",),
        "N",
        int,
        10_000,
        "reports kept until acknowledged; when there are so many, nothing new starts (default 10000)",
    ),
    (
        ("--outbox-bytes",),
        "N",
        int,
        64 * 1024 * 1024,
        "the same limit in bytes; whichever is reached first counts (default 67108864)",
    ),
    (
        ("--outbox",),
        "PATH",
        str,
        None,
        "keep unacknowledged reports in this file as well: a process that is started again with it sends what"
        " its predecessor could not; one file per worker",
    ),
    (("--drain-timeout",), "SECONDS", float, 30.0, "how long an orderly end may take (default 30)"),
    (
        ("--silence-ms",),
        "N",
        int,
        5_000,
        "connect anew when nothing was heard for so long; at least 5 heartbeats (default 5000)",
    ),
    (("--reconnect-max-ms",), "N", int, 2_000, "longest pause between tries to connect (default 2000)"),
    (("--resend-max-ms",), "N", int, 30_000, "longest wait before a report is sent again (default 30000)"),
    (("--log-level",), "LEVEL", str, "info", "debug, info, warn or error (default info)"),
]


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line."""

    def error(self, message: str) -> NoReturn:
        raise ConfigurationError(f"{message} (see --help)")


def parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="tasker_worker",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    for flags, metavar, kind, default, text in OPTIONS:
        if kind is list:
            add(*flags, metavar=metavar, action="append", help=text)
        else:
            add(*flags, metavar=metavar, type=kind, default=default, help=text)
    add("--version", action="version", version=f"tasker_worker {SDK_VERSION}")
    return parser


def settings_from(args: argparse.Namespace) -> Settings:
    steps, results = settings.read_config(args.config)
    env = os.environ
    return Settings(
        worker_id=args.worker_id if args.worker_id is not None else settings.default_worker_id(),
        steps_endpoints=settings.endpoints(
            args.steps_endpoint, "STEPS", env, steps, settings.DEFAULT_STEPS_ENDPOINT
        ),
        results_endpoints=settings.endpoints(
            args.results_endpoint, "RESULTS", env, results, settings.DEFAULT_RESULTS_ENDPOINT
        ),
        capacity=args.capacity,
        prefetch=args.prefetch,
        outbox_limit=args.outbox_limit,
        outbox_bytes=args.outbox_bytes,
        outbox_path=args.outbox,
        silence_ms=args.silence_ms,
        reconnect_max_ms=args.reconnect_max_ms,
        resend_max_ms=args.resend_max_ms,
        drain_timeout_s=args.drain_timeout,
        log_level=args.log_level,
        environment=settings.environment_name(),
        namespaces=tuple(args.namespace or ()),
    )


def registry_from(args: argparse.Namespace, environment: str) -> registry.Registry:
    only: Optional[List[str]] = None
    if args.handlers:
        only = [name.strip() for part in args.handlers for name in part.split(",") if name.strip()]
        if not only:
            raise ConfigurationError("--handlers names no handler class")
    folder = args.templates or settings.DEFAULT_TEMPLATES
    if args.templates is None and only is not None and not os.path.isdir(folder):
        found = []  # handlers named on the command line need no template
    else:
        found = templates.load_dir(folder, environment)
    for target in getattr(args, "import") or []:
        handlers.load(target)
    return registry.build(found, only)


def main(argv: List[str]) -> int:
    """Runs a worker until it is drained; returns the exit code."""
    try:
        args = parser().parse_args(argv)
        chosen = settings_from(args)
        logs.configure(chosen.log_level, worker=chosen.worker_id)
        served = registry_from(args, chosen.environment)
        worker = Worker(chosen, served)
    except ConfigurationError as error:
        print(f"tasker_worker: {error}", file=sys.stderr)
        return EXIT_CONFIGURATION
    log = logs.Log("tasker_worker")
    for missing in served.elsewhere:
        log.info(
            "served elsewhere", handler=missing.handler_class, step=missing.step, template=missing.source
        )
    log.info(
        "worker starts",
        session=worker.session_id,
        handlers=",".join(served.handler_classes),
        capacity=chosen.capacity,
        steps_endpoint=",".join(chosen.steps_endpoints),
        results_endpoint=",".join(chosen.results_endpoints),
    )
    _drain_on_signals(worker)
    code = worker.run()
    if worker.handlers_running:
        # Their threads cannot be stopped, and an ordinary exit may wait for what they hold.
        log.warn("handlers still run and end with the process", handlers=worker.handlers_running)
        logging.shutdown()
        os._exit(code)
    return code


def _drain_on_signals(worker: Worker) -> None:
    asked: List[int] = []

    def on_signal(number: int, _frame: Any) -> None:
        asked.append(number)
        if len(asked) == 1:
            worker.request_drain(signal.Signals(number).name)
        elif len(asked) == 2:
            worker.request_interrupt(128 + number)
        else:
            os._exit(128 + number)

    signal.signal(signal.SIGTERM, on_signal)
    signal.signal(signal.SIGINT, on_signal)
