"""Task templates, as far as a worker needs them: for the check at its start (`--templates`), and for tests.

The orchestrator validates templates in full (`tasker template check`). What a step's handler gets comes with
the step, never from here. The environment's overrides are applied in both dialects, and `${VAR}` /
`${VAR:-default}` are filled in, as the orchestrator does.
"""

import os
from dataclasses import dataclass
from typing import Any, Dict, Iterator, List, Mapping, Optional, Tuple

from . import yaml_text
from .errors import ConfigurationError
from .yaml_text import YamlError


@dataclass(frozen=True)
class TemplateStep:
    """One step of a template; all but `name` and `handler_class` serves the test helper."""

    name: str
    handler_class: str
    handler_config: Mapping[str, Any]
    depends_on: Tuple[str, ...] = ()
    results_from: Tuple[str, ...] = ()
    retryable: bool = True
    retry_limit: int = 3
    max_snoozes: int = 1000
    timeout_seconds: float = 30.0


@dataclass(frozen=True)
class Template:
    """A task template with the overrides of one environment applied; `schema` is that of the context."""

    namespace: str
    name: str
    version: str
    steps: Tuple[TemplateStep, ...]
    source: str
    schema: Optional[Mapping[str, Any]] = None


def load_dir(path: str, environment: str, env: Mapping[str, str] = os.environ) -> List[Template]:
    """Every *.yaml and *.yml of the folder itself, sorted; ConfigurationError names file and field."""
    if not os.path.isdir(path):
        raise ConfigurationError(f"templates directory {path} does not exist (option --templates)")
    files = sorted(
        os.path.join(path, name)
        for name in os.listdir(path)
        if name.endswith((".yaml", ".yml"))
        and not name.startswith(".")
        and not os.path.isdir(os.path.join(path, name))
    )
    return [load_file(file, environment, env) for file in files]


def load_file(path: str, environment: str, env: Mapping[str, str] = os.environ) -> Template:
    """One template file; ConfigurationError names file and field."""
    try:
        tree = yaml_text.read_file(path)
    except YamlError as error:
        raise ConfigurationError(f"template {path}: {error}") from None
    return _read(tree, environment, env, path)


def parse(
    data: Any, environment: str, env: Mapping[str, str] = os.environ, source: str = "(inline)"
) -> Template:
    """A template from parsed content."""
    return _read(yaml_text.from_data(data), environment, env, source)


def _read(tree: Any, environment: str, env: Mapping[str, str], source: str) -> Template:
    try:
        return _template(tree, environment, env, source)
    except YamlError as error:
        raise _bad(source, "", str(error)) from None


def _template(tree: Any, environment: str, env: Mapping[str, str], source: str) -> Template:
    if not isinstance(tree, dict):
        raise _bad(source, "", "must be a mapping with name, namespace_name, version and step_templates")
    # Variables of the other environments need not be set.
    environments = _mapping(tree.get("environments"), source, "environments")
    chosen = yaml_text.fill(environments.get(environment), env)
    tree = yaml_text.fill({key: value for key, value in tree.items() if key != "environments"}, env)
    steps: Dict[str, Dict[str, Any]] = {}
    for position, step in enumerate(_list(tree, "step_templates", source)):
        where = f"step_templates[{position}]"
        if not isinstance(step, dict):
            raise _bad(source, where, "must be a mapping")
        name = _text(step, "name", source, where + ".")
        if name in steps:
            raise _bad(source, where + ".name", f"step {name} is defined twice")
        steps[name] = dict(step)
    for name, override, where in _overrides(chosen, environment, source):
        if name not in steps:
            raise _bad(source, where, f"there is no step {name}")
        _merge(steps[name], {key: value for key, value in override.items() if key != "name"})
    namespace = _text(tree, "namespace_name", source)
    schema = _data(tree, "schema", None)
    if schema is not None and not isinstance(schema, dict):
        raise _bad(source, "schema", "must be a mapping")
    return Template(
        namespace=namespace,
        name=_text(tree, "name", source).removeprefix(namespace + "/"),
        version=_text(tree, "version", source),
        steps=tuple(_step(step, source, f"step {key}: ") for key, step in steps.items()),
        source=source,
        schema=schema,
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


def _overrides(chosen: Any, environment: str, source: str) -> Iterator[Tuple[str, Dict[str, Any], str]]:
    where = f"environments.{environment}"
    chosen = _mapping(chosen, source, where)
    listed = chosen.get("step_templates")
    for position, step in enumerate(listed if isinstance(listed, list) else []):
        here = f"{where}.step_templates[{position}]"
        if not isinstance(step, dict):
            raise _bad(source, here, "must be a mapping")
        yield _text(step, "name", source, here + "."), step, here
    for name, step in _mapping(chosen.get("step_overrides"), source, where + ".step_overrides").items():
        here = f"{where}.step_overrides.{name}"
        override = dict(_mapping(step, source, here))
        # The older form has the short names.
        for short in ("retry_limit", "retryable"):
            if short in override:
                override[f"default_{short}"] = override.pop(short)
        yield name, override, here


def _step(step: Dict[str, Any], source: str, where: str) -> TemplateStep:
    config = _data(step, "handler_config", {})
    if not isinstance(config, dict):
        raise _bad(source, where + "handler_config", "must be a mapping")
    parents = _names(step, "depends_on_steps")
    if step.get("depends_on_step"):
        parents.append(step["depends_on_step"])
    return TemplateStep(
        name=_text(step, "name", source, where),
        handler_class=_text(step, "handler_class", source, where),
        handler_config=config,
        depends_on=_spelled(parents),
        results_from=_spelled(_names(step, "results_from")),
        retryable=_data(step, "default_retryable", True) is not False,
        retry_limit=int(_number(step, "default_retry_limit", 3, source, where)),
        max_snoozes=int(_number(step, "max_snoozes", 1000, source, where)),
        timeout_seconds=_number(step, "timeout_seconds", 30.0, source, where),
    )


def _names(step: Dict[str, Any], key: str) -> List[Any]:
    found = step.get(key) or []
    return list(found) if isinstance(found, list) else [found]


def _spelled(names: List[Any]) -> Tuple[str, ...]:
    return tuple(dict.fromkeys(filter(None, map(yaml_text.spelling, names))))


def _data(mapping: Mapping[str, Any], key: str, default: Any) -> Any:
    value = yaml_text.to_data(mapping.get(key))
    return default if value is None else value


def _mapping(node: Any, source: str, field: str) -> Dict[str, Any]:
    if node is None or (isinstance(node, yaml_text.Scalar) and yaml_text.to_data(node) is None):
        return {}
    if not isinstance(node, dict):
        raise _bad(source, field, "must be a mapping")
    return node


def _text(mapping: Mapping[str, Any], key: str, source: str, where: str = "") -> str:
    text = yaml_text.spelling(mapping.get(key))
    if not text:
        raise _bad(source, where + key, "is required and must be text")
    return text


def _number(mapping: Mapping[str, Any], key: str, default: float, source: str, where: str) -> float:
    value = _data(mapping, key, default)
    try:
        return float(value)
    except (TypeError, ValueError):
        raise _bad(source, where + key, f"must be a number, not {value!r:.80}") from None


def _list(mapping: Mapping[str, Any], key: str, source: str) -> List[Any]:
    value = mapping.get(key)
    if not isinstance(value, list) or not value:
        raise _bad(source, key, "is required and must be a list of steps")
    return value


def _bad(source: str, field: str, message: str) -> ConfigurationError:
    return ConfigurationError(f"template {source}: {field + ' ' if field else ''}{message}")
