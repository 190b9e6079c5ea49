"""The command line of a worker process."""

import argparse
import difflib
import logging
import os
import signal
import sys
from typing import Any, List, NoReturn, Optional, Tuple

from . import dev, handlers, registry, secrets, settings, templates
from .errors import ConfigurationError
from .log import Log, configure
from .settings import Settings
from .version import SDK_VERSION
from .wire.codec import DIGITS_MAX
from .worker import EXIT_UNFINISHED, EXIT_USAGE, Worker

DESCRIPTION = """\
Runs step handlers for a Tasker orchestrator.

The handlers come from your modules or files (--import): every class declared with @handler is served. With
--handlers exactly those classes are served. What a handler gets, its configuration too, comes with each
step, so no template is needed here. With --templates the classes are compared with them at start."""

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
  TASKER_ENV                        which `environments` of the --templates hold (default development)
  TASKER_SECRETS_DIR                the same as --secrets-dir
  TASKER_SECRET_STRIPE_API_KEY      the secret stripe/api_key of a handler_config
  TASKER_EFFECTS_LOG                a file that gets a line at each handler's start and end

signals:
  SIGTERM, SIGINT   drain: hand back what has not started, finish the rest, wait for the acks;
                    a second one sends goodbye and exits, a third one exits at once

exit codes:
  0   ended in order: drained, every report acknowledged
  1   an unexpected error of the worker itself
  2   usage or settings: bad option or file, missing template, handler or library, outbox locked or damaged
  3   refused for good by the orchestrator (not_allowed, version)
  4   left with unfinished work: the drain limit was reached, or a second or third signal came"""


# (flag, metavar, type, default, help); a list may be given several times
OPTIONS: List[Tuple[Tuple[str, ...], str, type, Any, str]] = [
    (("--import",), "MODULE_OR_FILE", list, None, "your handlers: a module name or a .py file; repeatable"),
    (
        ("--templates",),
        "DIR",
        str,
        None,
        "compare the handlers with these task templates, *.yaml: a class that no template names is a warning",
    ),
    (("--strict",), "", bool, False, "with --templates: such a class stops the start"),
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
        "a zeromq.yaml whose step_execution.handler_step_subscriber and .handler_result_publisher name"
        " the endpoints",
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
    (("--worker-id",), "NAME", str, None, "stable name of this worker (default HOST-python-PID)"),
    (("--capacity",), "N", int, 10, "steps that run at once, 1 to 1000 (default 10)"),
    (("--prefetch",), "N", int, 2, "in hand are at most capacity x prefetch steps, 1 to 100 (default 2)"),
    (
        ("--namespace", "--namespaces"),
        "NS,...",
        list,
        None,
        "take work of these namespaces only; repeatable (default *)",
    ),
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
    (
        ("--secrets-dir",),
        "DIR",
        str,
        None,
        'the folder with the secrets that a handler_config names as {"$secret": NAME}, one file each',
    ),
    (("--drain-timeout",), "SECONDS", float, 30.0, "how long an orderly end may take (default 30)"),
    (
        ("--silence-ms",),
        "N",
        int,
        5_000,
        "connect anew when nothing was received for so long; at least 5 heartbeats (default 5000)",
    ),
    (("--reconnect-max-ms",), "N", int, 2_000, "longest pause between tries to connect (default 2000)"),
    (("--resend-max-ms",), "N", int, 30_000, "longest wait before a report is sent again (default 30000)"),
    (("--log-level",), "LEVEL", str, "info", "debug, info, warn or error (default info)"),
]


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line."""

    def error(self, message: str) -> NoReturn:
        raise ConfigurationError(f"{message} (see --help)")

    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:
        known, rest = self.parse_known_args(args, namespace)
        if rest:
            self.error(f"unrecognized arguments: {' '.join(rest)}{self._meant(rest)}")
        return known

    def _meant(self, rest: List[str]) -> str:
        """The end of a complaint: what the first of these words may stand for, if that is known."""
        for word in rest:
            if os.path.isfile(word):
                return f"; did you mean --import {word}?"
            option = word.partition("=")[0]
            close = difflib.get_close_matches(option, self._option_string_actions, 1, 0.7)
            if len(option) > 2 and close:
                return f"; did you mean {close[0]}?"
        return ""


def parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="tasker-worker",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    for flags, metavar, kind, default, text in OPTIONS:
        if kind is bool:
            add(*flags, action="store_true", help=text)
        elif kind is list:
            add(*flags, metavar=metavar, action="append", help=text)
        else:
            add(*flags, metavar=metavar, type=kind, default=default, help=text)
    add("--version", action="version", version=f"tasker-worker {SDK_VERSION}")
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
        secrets_dir=args.secrets_dir
        if args.secrets_dir is not None
        else env.get("TASKER_SECRETS_DIR") or None,
        log_level=args.log_level,
        environment=settings.environment_name(),
        namespaces=tuple(_listed(args.namespace, "--namespace") or ()),
    )


def _listed(given: Optional[List[str]], option: str) -> Optional[List[str]]:
    """The parts of an option that is repeatable and takes several values."""
    if given is None:
        return None
    parts = [name.strip() for part in given for name in part.split(",") if name.strip()]
    if not parts:
        raise ConfigurationError(f"{option} names nothing")
    return parts


def registry_from(args: argparse.Namespace, environment: str) -> registry.Registry:
    """The handlers that are served, compared with the templates if there are any."""
    if args.strict and args.templates is None:
        raise ConfigurationError("--strict compares the handlers with templates; add --templates DIR")
    only = _listed(args.handlers, "--handlers")
    found = [] if args.templates is None else templates.load_dir(args.templates, environment)
    for target in getattr(args, "import") or []:
        handlers.load(target)
    served = registry.build(only, found)
    if args.templates is not None:
        _report(served.compare(found), args)
        served.check_secrets(found)
    return served


def _report(compared: registry.Comparison, args: argparse.Namespace) -> None:
    log = Log("tasker_worker")
    for name in compared.unasked:
        hint = f"; did you mean {name.did_you_mean}?" if name.did_you_mean else ""
        if args.strict:
            raise ConfigurationError(
                f"handler class {name.handler_class} stands in no template of {args.templates}{hint}"
            )
        log.warn("handler in no template", handler=name.handler_class, did_you_mean=name.did_you_mean)
    if compared.elsewhere:
        log.info("served elsewhere", handlers=",".join(name.handler_class for name in compared.elsewhere))


def main(argv: List[str]) -> int:
    """Runs a worker until it is drained; returns the exit code."""
    try:
        return _run(parser().parse_args(argv))
    except ConfigurationError as error:
        print(f"tasker-worker: {_visible(str(error))}", file=sys.stderr)
        return EXIT_USAGE


def _visible(text: str) -> str:
    """Controls and marks that turn the writing round as escapes: a terminal must not obey a file's name."""
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in text
    )


def _allow_long_numbers() -> None:
    """Python converts whole numbers of up to 4300 digits by default; a context may hold longer ones."""
    if 0 < sys.get_int_max_str_digits() < DIGITS_MAX:
        sys.set_int_max_str_digits(DIGITS_MAX)


def _run(args: argparse.Namespace) -> int:
    _allow_long_numbers()
    chosen = settings_from(args)
    configure(chosen.log_level, worker_id=chosen.worker_id)
    secrets.shared.directory = chosen.secrets_dir
    served = registry_from(args, chosen.environment)
    worker = Worker(chosen, served)
    log = Log("tasker_worker")
    log.info(
        "worker starts",
        pid=os.getpid(),
        capacity=chosen.capacity,
        handlers=",".join(served.handler_classes),
        namespaces=",".join(sorted(chosen.namespaces) or ["*"]),
        steps_endpoints=",".join(chosen.steps_endpoints),
        results_endpoints=",".join(chosen.results_endpoints),
    )
    _warn_of_another_database(chosen)
    _drain_on_signals(worker)
    code = worker.run()
    if worker.handlers_running:
        # Their threads cannot be stopped, and an ordinary exit may wait for what they hold.
        log.warn("handlers still run and end with the process", handlers=worker.handlers_running)
        logging.shutdown()
        os._exit(code)
    return code


def _warn_of_another_database(chosen: Settings) -> None:
    """The commands of `tasker` then use that database, and a worker beside them serves the `tasker dev`."""
    running = dev.running()
    if running is None or not running.serves(chosen.steps_endpoints + chosen.results_endpoints):
        return
    url = os.environ.get("TASKER_DATABASE_URL", "")
    if url and url != running.database_url and not dev.url_left_over(url):
        log = Log("tasker_worker")
        log.warn(
            "connected to a tasker dev, but TASKER_DATABASE_URL names another database",
            folder=running.folder,
            advice="set TASKER_STEPS_ENDPOINT and TASKER_RESULTS_ENDPOINT to that database's orchestrator",
        )


def _drain_on_signals(worker: Worker) -> None:
    asked: List[int] = []

    def on_signal(number: int, _frame: Any) -> None:
        asked.append(number)
        if len(asked) == 1:
            worker.request_drain(signal.Signals(number).name)
        elif len(asked) == 2:
            worker.request_interrupt()
        else:
            os._exit(EXIT_UNFINISHED)

    def in_child() -> None:
        # A signal to a handler's own child is meant for that child.
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)

    signal.signal(signal.SIGTERM, on_signal)
    signal.signal(signal.SIGINT, on_signal)
    os.register_at_fork(after_in_child=in_child)
