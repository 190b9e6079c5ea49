#!/usr/bin/python3
"""Measures systems that users would pick instead of Tasker, side by side with it. See --help."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import signal
import sys
import time
from datetime import datetime, timezone
from pathlib import Path

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent.parent))
from tests.bench.peers import catalog, driver, install, report, stores, tasker  # noqa: E402

EPILOG = """Peers: {peers}.

Workloads:
{workloads}

Examples:
  tests/bench/peers/run.py --install                    all peers, 3 runs each; installs Debian packages first
  tests/bench/peers/run.py bullmq pg-boss --runs 5 --with-tasker
  tests/bench/peers/run.py dbos --workload chain4 --runs 1 --set concurrency=200 --set pool=50
  tests/bench/peers/run.py --with-tasker --out peers.json --markdown > table.md
  tests/bench/peers/run.py --from peers.json --markdown

Node packages go into {cache}; nothing is written into the source tree.
Keep the machine idle meanwhile: all the figures are of what it has left.
"""


def parse(arguments: list[str]) -> argparse.Namespace:
    workloads = "\n".join(f"  {name:9}{text}" for name, text in catalog.WORKLOADS.items())
    parser = argparse.ArgumentParser(
        prog="tests/bench/peers/run.py",
        description="Runs the same no-op work on other job and workflow systems, each on its usual store.",
        epilog=EPILOG.format(peers=", ".join(catalog.BY_NAME), workloads=workloads, cache=install.cache()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("peer", nargs="*", help="default: all")
    parser.add_argument("--workload", nargs="+", choices=catalog.WORKLOADS, default=list(catalog.WORKLOADS))
    parser.add_argument("--runs", type=positive, default=3, help="runs of each (default 3)")
    parser.add_argument("--samples", type=positive, default=300, help="tasks of a latency run (default 300)")
    parser.add_argument("--with-tasker", action="store_true", help="Tasker too, in turns with the peers")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="another setting: to check the tuning",
    )
    parser.add_argument("--install", action="store_true", help="install missing Debian packages (with sudo)")
    parser.add_argument(
        "--from", dest="source", metavar="FILE", help="measure nothing: show an earlier --out FILE"
    )
    parser.add_argument("--json", action="store_true", help="one JSON document instead of a table")
    parser.add_argument("--markdown", action="store_true", help="the table in Markdown")
    parser.add_argument("--out", metavar="FILE", help="write the JSON document to FILE as well")
    args = parser.parse_args(arguments)
    unknown = [name for name in args.peer if name not in catalog.BY_NAME]
    if unknown:
        parser.error(f"no such peer: {', '.join(unknown)} (there are: {', '.join(catalog.BY_NAME)})")
    args.peers = [catalog.BY_NAME[name] for name in args.peer] or list(catalog.PEERS)
    args.overrides = overrides(parser, args)
    return args


def positive(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return int(text)


def overrides(parser: argparse.ArgumentParser, args: argparse.Namespace) -> dict:
    """The --set options, each of a setting that every chosen peer has, in that setting's type."""
    values = {}
    for text in args.set:
        name, separator, value = text.partition("=")
        for peer in args.peers:
            if not separator or name not in peer.settings:
                parser.error(f"--set {text}: {peer.name} has {', '.join(peer.settings)}")
            if isinstance(peer.settings[name], int) and not value.lstrip("-").isdigit():
                parser.error(f"--set {text}: {name} of {peer.name} is a whole number")
        values[name] = int(value) if value.lstrip("-").isdigit() else value
    return values


class Session:
    """All runs of one call. The contestants take turns: a slow minute of the machine hits all alike."""

    def __init__(self, args: argparse.Namespace):
        self.args = args
        self.postgres: stores.Postgres | None = None
        self.runs: list[dict] = []
        self.failures: list[str] = []

    def contestants(self) -> list:
        """The peers, with Tasker's workers evenly between them."""
        ours = tasker.CONTESTANTS if self.args.with_tasker else ()
        mixed: list = list(self.args.peers)
        for number, contestant in enumerate(ours, 1):
            mixed.insert(number * len(self.args.peers) // (len(ours) + 1) + number - 1, contestant)
        return mixed

    def measure(self) -> None:
        with contextlib.ExitStack() as stack:
            if any(peer.store == "postgres" for peer in self.args.peers):
                self.postgres = stack.enter_context(stores.Postgres())
            for run in range(1, self.args.runs + 1):
                # Every second round in the opposite order.
                order = self.contestants()[:: 1 if run % 2 else -1]
                for workload in self.args.workload:
                    for contestant in order:
                        if contestant.can(workload):
                            self.one(contestant, workload, run)

    def one(self, contestant, workload: str, run: int) -> None:
        started = time.monotonic()
        try:
            figures = self.figures(contestant, workload)
        except (driver.Failed, stores.NotUp) as error:
            self.failures.append(f"{contestant.name}, {workload}, run {run}: {error}")
            progress(self.failures[-1])
            return
        self.runs.append(
            {"contestant": contestant.name, "workload": workload, "run": run, "figures": figures}
        )
        shown = (
            f"{figures['steps_per_s']:.0f} steps/s"
            if "steps_per_s" in figures
            else f"{figures['p50_ms']:.2f} ms"
        )
        took = time.monotonic() - started
        progress(
            f"run {run} of {self.args.runs}: {workload:8} {contestant.name:16} {shown:16} ({took:.0f} s)"
        )

    def figures(self, contestant, workload: str) -> dict:
        if isinstance(contestant, tasker.Contestant):
            return contestant.run(workload, self.args.samples)
        settings = {**contestant.settings_of(workload), **self.args.overrides}
        if contestant.store == "postgres":
            return driver.run(contestant, workload, self.postgres, settings, self.args.samples)
        with driver.store_of(contestant, settings) as store:
            return driver.run(contestant, workload, store, settings, self.args.samples)

    def document(self) -> dict:
        return {
            "at": datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
            "machine": machine(),
            "contestants": {one.name: facts(one, self.args.overrides) for one in self.contestants()},
            "runs": self.runs,
            "summary": report.summaries(self.runs),
            "failures": self.failures,
        }


def facts(contestant, changed: dict) -> dict:
    told = {"title": contestant.title, "store": contestant.store_text}
    told |= {"durable": contestant.durable, "tuning": contestant.tuning}
    if isinstance(contestant, tasker.Contestant):
        return {**told, "version": tasker.version()}
    told |= {"version": install.version(contestant), "lacks": contestant.lacks}
    told["settings"] = {**contestant.settings, **changed}
    for workload, settings in contestant.for_workload.items():
        told["settings"][f"for {workload}"] = {**settings, **changed}
    return told


def machine() -> list[str]:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    models = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    model = models[0] if models else platform.machine()
    postgres = ", ".join(f"{name}={value}" for name, value in stores.POSTGRES_SETTINGS.items())
    return [
        f"{os.cpu_count()} × {model}, {platform.system()} {platform.release()}",
        f"PostgreSQL {install.debian_version('postgresql-15')}: {postgres}",
        f"Redis {install.debian_version('redis-server')}, Python {platform.python_version()}",
    ]


def progress(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def show(document: dict, args: argparse.Namespace) -> None:
    if args.json:
        print(json.dumps(document, indent=2))
    elif args.markdown:
        print(report.markdown(document))
    else:
        print(report.plain(document))


def main() -> int:
    args = parse(sys.argv[1:])
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    if args.source:
        show(json.loads(Path(args.source).read_text()), args)
        return 0
    install.prepare(args.peers, args.install)
    session = Session(args)
    try:
        session.measure()
    finally:
        # What was measured is kept also when the rest is interrupted.
        document = session.document()
        if args.out:
            Path(args.out).write_text(json.dumps(document, indent=2) + "\n")
    show(document, args)
    return 1 if session.failures else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
