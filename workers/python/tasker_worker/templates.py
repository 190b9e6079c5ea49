"""The part of the task templates that a worker needs: which handler classes, with which configuration.

The orchestrator validates templates in full (`tasker template check`); here only what a worker reads is
checked. The environment's overrides are applied in both dialects, and `${VAR}` / `${VAR:-default}` are
filled in, as the orchestrator does.
"""

import os
import re
from dataclasses import dataclass
from typing import Any, Dict, Iterator, List, Mapping, Optional, Tuple

import yaml

from .errors import ConfigurationError

_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True)
class StepTemplate:
    """One step of a template; `depends_on`, `retryable` and `retry_limit` serve the test helper."""

    name: str
    handler_class: str
    handler_config: Mapping[str, Any]
    depends_on: Tuple[str, ...] = ()
    retryable: bool = True
    retry_limit: int = 3
    timeout_seconds: float = 30.0


@dataclass(frozen=True)
class Template:
    """A task template with the overrides of one environment applied."""

    namespace: str
    name: str
    version: str
    steps: Tuple[StepTemplate, ...]
    source: str


def load_dir(path: str, environment: str, env: Mapping[str, str] = os.environ) -> List[Template]:
    """Every *.yaml and *.yml below `path`, sorted; ConfigurationError names file and field."""
    if not os.path.isdir(path):
        raise ConfigurationError(f"templates directory {path} does not exist (option --templates)")
    files = sorted(
        os.path.join(folder, name)
        for folder, _, names in os.walk(path)
        for name in names
        if name.endswith((".yaml", ".yml"))
    )
    return [load_file(file, environment, env) for file in files]


def load_file(path: str, environment: str, env: Mapping[str, str] = os.environ) -> Template:
    """One template file; ConfigurationError names file and field."""
    try:
        with open(path, encoding="utf-8") as stream:
            data = yaml.load(stream, Loader=_Loader)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"template {path}: cannot be read: {error}") from error
    except yaml.YAMLError as error:
        raise ConfigurationError(f"template {path}: not valid YAML: {_one_line(error)}") from error
    return parse(data, environment, env, source=path)


def parse(
    data: Any, environment: str, env: Mapping[str, str] = os.environ, source: str = "(inline)"
) -> Template:
    """A template from parsed YAML."""
    data = _interpolate(data, env, source)
    if not isinstance(data, dict):
        raise _bad(source, "", "must be a mapping with name, namespace_name, version and step_templates")
    steps: Dict[str, Dict[str, Any]] = {}
    for position, step in enumerate(_list(data, "step_templates", source)):
        where = f"step_templates[{position}]"
        if not isinstance(step, dict):
            raise _bad(source, where, "must be a mapping")
        name = _text(step, "name", source, where + ".")
        if name in steps:
            raise _bad(source, where + ".name", f"step {name} is defined twice")
        steps[name] = dict(step)
    for name, override, where in _overrides(data, environment, source):
        if name not in steps:
            raise _bad(source, where, f"there is no step {name}")
        _merge(steps[name], {key: value for key, value in override.items() if key != "name"})
    namespace = _text(data, "namespace_name", source)
    name = _text(data, "name", source)
    if name.startswith(namespace + "/"):
        name = name[len(namespace) + 1 :]
    return Template(
        namespace=namespace,
        name=name,
        version=_text(data, "version", source),
        steps=tuple(_step(step, source, f"step {key}: ") for key, step in steps.items()),
        source=source,
    )


def _merge(target: Dict[str, Any], source: Mapping[str, Any]) -> None:
    """Mappings are merged key by key, everything else is replaced."""
    for key, value in source.items():
        known = target.get(key)
        if isinstance(known, dict) and isinstance(value, dict):
            target[key] = dict(known)
            _merge(target[key], value)
        else:
            target[key] = value


def _overrides(
    data: Dict[str, Any], environment: str, source: str
) -> Iterator[Tuple[str, Dict[str, Any], str]]:
    environments = data.get("environments") or {}
    if not isinstance(environments, dict):
        raise _bad(source, "environments", "must be a mapping")
    chosen = environments.get(environment) or {}
    where = f"environments.{environment}"
    if not isinstance(chosen, dict):
        raise _bad(source, where, "must be a mapping")
    for position, step in enumerate(chosen.get("step_templates") or []):
        here = f"{where}.step_templates[{position}]"
        if not isinstance(step, dict):
            raise _bad(source, here, "must be a mapping")
        yield _text(step, "name", source, here + "."), step, here
    overrides = chosen.get("step_overrides") or {}
    if not isinstance(overrides, dict):
        raise _bad(source, where + ".step_overrides", "must be a mapping")
    for name, step in overrides.items():
        here = f"{where}.step_overrides.{name}"
        if not isinstance(step, dict):
            raise _bad(source, here, "must be a mapping")
        yield str(name), step, here


def _step(step: Dict[str, Any], source: str, where: str) -> StepTemplate:
    config = step.get("handler_config") or {}
    if not isinstance(config, dict):
        raise _bad(source, where + "handler_config", "must be a mapping")
    parents = step.get("depends_on_steps") or []
    parents = [parents] if isinstance(parents, str) else list(parents)
    if step.get("depends_on_step"):
        parents.append(str(step["depends_on_step"]))
    return StepTemplate(
        name=str(step["name"]),
        handler_class=_text(step, "handler_class", source, where),
        handler_config=config,
        depends_on=tuple(dict.fromkeys(str(parent) for parent in parents)),
        retryable=step.get("default_retryable", True) is not False,
        retry_limit=int(_number(step, "default_retry_limit", 3, source, where)),
        timeout_seconds=_number(step, "timeout_seconds", 30.0, source, where),
    )


def _interpolate(value: Any, env: Mapping[str, str], source: str) -> Any:
    if isinstance(value, dict):
        return {key: _interpolate(item, env, source) for key, item in value.items()}
    if isinstance(value, list):
        return [_interpolate(item, env, source) for item in value]
    if not isinstance(value, str) or "${" not in value:
        return value

    def fill(match: "re.Match[str]") -> str:
        found = env.get(match.group(1), match.group(2))
        if found is None:
            raise _bad(source, "", f"the environment variable {match.group(1)} is not set and has no default")
        return found

    filled = _VARIABLE.sub(fill, value)
    # A value that is nothing but a variable takes the type its text has in YAML (a number, a boolean).
    typed = yaml.safe_load(filled) if _VARIABLE.fullmatch(value) else filled
    return filled if isinstance(typed, (dict, list)) else typed


def _text(data: Mapping[Any, Any], key: str, source: str, where: str = "") -> str:
    value = data.get(key)
    if value is None or isinstance(value, (dict, list)) or not str(value):
        raise _bad(source, where + key, "is required and must be text")
    return str(value)


def _number(data: Mapping[Any, Any], key: str, default: float, source: str, where: str) -> float:
    value = data.get(key, default)
    try:
        return float(value)
    except (TypeError, ValueError):
        raise _bad(source, where + key, f"must be a number, not {value!r}") from None


def _list(data: Mapping[Any, Any], key: str, source: str) -> List[Any]:
    value = data.get(key)
    if not isinstance(value, list) or not value:
        raise _bad(source, key, "is required and must be a list of steps")
    return value


def _bad(source: str, field: str, message: str) -> ConfigurationError:
    return ConfigurationError(f"template {source}: {field + ' ' if field else ''}{message}")


def _one_line(error: Optional[BaseException]) -> str:
    return " ".join(str(error).split())
