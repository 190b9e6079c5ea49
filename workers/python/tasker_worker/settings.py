"""Every setting of a worker: meaning, unit, default, limits, and where it may come from.

Order of precedence: command line, TASKER_WORKER_*_ENDPOINT, TASKER_*_ENDPOINT, configuration file,
the nearest running `tasker dev`, default.
"""

import os
import re
import socket
from dataclasses import dataclass
from typing import Any, Mapping, Optional, Sequence, Tuple

from . import dev, yaml_text
from .errors import ConfigurationError
from .log import LEVELS
from .yaml_text import YamlError

DEFAULT_STEPS_ENDPOINT = "tcp://127.0.0.1:5555"
DEFAULT_RESULTS_ENDPOINT = "tcp://127.0.0.1:5556"
OUTBOX_MAX = 10_000
RECONNECT_MAX_MS = 2_000
# Keys of step_execution, the worker's own first; without them a worker connects to what is bound.
STEPS_KEYS = ("handler_step_subscriber", "step_publisher", "rust_step_publisher")
RESULTS_KEYS = ("handler_result_publisher", "result_subscriber", "rust_result_subscriber")
DEFAULT_ENVIRONMENT = "development"
_NAMESPACE = re.compile(r"(\*|[A-Za-z0-9_.-]{1,128})\Z", re.ASCII)


@dataclass(frozen=True)
class Settings:
    """Checked settings; times in seconds."""

    worker_id: str
    steps_endpoints: Tuple[str, ...] = (DEFAULT_STEPS_ENDPOINT,)
    results_endpoints: Tuple[str, ...] = (DEFAULT_RESULTS_ENDPOINT,)
    capacity: int = 10
    prefetch: int = 2
    outbox_limit: int = 10_000
    outbox_bytes: int = 64 * 1024 * 1024
    outbox_path: Optional[str] = None
    silence_ms: int = 5_000
    reconnect_max_ms: int = RECONNECT_MAX_MS
    resend_max_ms: int = 30_000
    drain_timeout_s: float = 30.0
    secrets_dir: Optional[str] = None
    log_level: str = "info"
    environment: str = DEFAULT_ENVIRONMENT
    namespaces: Tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _within("--capacity", self.capacity, 1, 1000)
        _within("--prefetch", self.prefetch, 1, 100)
        # Below: every started step needs room for its report and its batch's completion. Above: an
        # inventory names every unacknowledged step and must fit into one message.
        _within("--outbox-limit", self.outbox_limit, 2 * self.capacity, OUTBOX_MAX)
        # Room for at least one result of the largest size (limits.result_bytes of the welcome).
        _within("--outbox-bytes", self.outbox_bytes, 1024 * 1024, 2**40)
        if self.outbox_path is not None and not self.outbox_path:
            raise ConfigurationError("--outbox must name a file")
        # Below: a heartbeat comes each second by default, and one that is late is no silence.
        _within("--silence-ms", self.silence_ms, 500, 3_600_000)
        _within("--reconnect-max-ms", self.reconnect_max_ms, 100, 60_000)
        _within("--resend-max-ms", self.resend_max_ms, 100, 3_600_000)
        _within("--drain-timeout", self.drain_timeout_s, 0, 86_400)
        if self.secrets_dir is not None and not os.path.isdir(self.secrets_dir):
            raise ConfigurationError(f"--secrets-dir {self.secrets_dir} is no folder")
        if self.log_level not in LEVELS:
            raise ConfigurationError(f"--log-level must be one of {', '.join(LEVELS)}, not {self.log_level}")
        # Names travel in every report and stand in lists and logs.
        if not 1 <= len(self.worker_id) <= 200 or not self.worker_id.isprintable():
            raise ConfigurationError("--worker-id must have 1 to 200 printable characters")
        for namespace in self.namespaces:
            if not _NAMESPACE.match(namespace):
                raise ConfigurationError(
                    f"--namespace {namespace!r:.80} is no namespace: allowed are * and 1 to 128 letters,"
                    " digits, _ . and -"
                )
        for endpoint in (*self.steps_endpoints, *self.results_endpoints):
            if not endpoint.startswith(("tcp://", "ipc://", "inproc://")) or endpoint.endswith("://"):
                raise ConfigurationError(
                    f"endpoint {endpoint!r} must look like tcp://127.0.0.1:5555 or ipc:///run/tasker/steps"
                )


def _within(name: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        raise ConfigurationError(f"{name} must be between {low} and {high}, not {value}")


def default_worker_id() -> str:
    """HOST-python-PID: unique, so that a command to this worker reaches no other one."""
    return f"{host_name()[:100]}-python-{os.getpid()}"


def host_name() -> str:
    """The name of this machine, fit for reports and lists whatever somebody set it to."""
    name = "".join(letter if letter.isprintable() else "_" for letter in socket.gethostname())
    return name[:255] or "unknown"


def endpoints(
    option: Optional[Sequence[str]],
    name: str,
    env: Mapping[str, str],
    configured: Any,
    default: str,
) -> Tuple[str, ...]:
    """The endpoints to connect to; `name` is STEPS or RESULTS."""
    if option:
        chosen = [part for given in option for part in given.split(",")]
    elif env.get(f"TASKER_WORKER_{name}_ENDPOINT"):
        chosen = env[f"TASKER_WORKER_{name}_ENDPOINT"].split(",")
    elif env.get(f"TASKER_{name}_ENDPOINT"):
        chosen = env[f"TASKER_{name}_ENDPOINT"].split(",")
        # `tasker dev --env` of an earlier one: another may run by now, elsewhere.
        if dev.left_over(chosen[0]):
            chosen = [dev.endpoints().get(name.lower(), chosen[0])]
    elif configured:
        chosen = [configured] if isinstance(configured, str) else list(configured)
    else:
        chosen = [dev.endpoints().get(name.lower(), default)]
    # `*` is where an orchestrator binds; a worker on the same machine reaches that through loopback.
    return tuple(endpoint.strip().replace("//*", "//127.0.0.1") for endpoint in chosen)


def read_config(path: Optional[str]) -> Tuple[Any, Any]:
    """(where steps come from, where results go) as a zeromq.yaml says; None where it does not."""
    if path is None:
        return None, None
    try:
        data = yaml_text.to_data(yaml_text.read_file(path))
    except YamlError as error:
        raise ConfigurationError(f"--config {path}: {error}") from None
    section = (data or {}).get("step_execution") if isinstance(data or {}, dict) else data
    if section is None:
        return None, None
    if not isinstance(section, dict):
        raise ConfigurationError(f"--config {path}: step_execution must be a mapping")
    return _endpoint_key(path, section, STEPS_KEYS), _endpoint_key(path, section, RESULTS_KEYS)


def _endpoint_key(path: Optional[str], section: Mapping[str, Any], keys: Sequence[str]) -> Any:
    for key in keys:
        value = section.get(key)
        if value is None:
            continue
        listed = isinstance(value, list) and value and all(isinstance(item, str) for item in value)
        if not isinstance(value, str) and not listed:
            raise ConfigurationError(
                f"--config {path}: step_execution.{key} must be an endpoint or a list of endpoints"
            )
        return value
    return None


def environment_name(env: Mapping[str, str] = os.environ) -> str:
    return env.get("TASKER_ENV") or DEFAULT_ENVIRONMENT
