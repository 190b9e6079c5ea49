"""Checks a task's context against its template's schema (JSON Schema draft 7), for the test helpers.

The orchestrator checks each context when a task is submitted; a test that runs on a context which no task can
have proves nothing. `format` is no constraint here.
"""

import json
import re
from typing import Any, Callable, Dict, List, Mapping, Tuple

PROBLEMS_MAX = 20

_TYPES: Dict[str, Callable[[Any], bool]] = {
    "object": lambda value: isinstance(value, dict),
    "array": lambda value: isinstance(value, list),
    "string": lambda value: isinstance(value, str),
    "boolean": lambda value: isinstance(value, bool),
    "null": lambda value: value is None,
    "number": lambda value: _is_number(value),
    "integer": lambda value: _is_number(value) and (isinstance(value, int) or value.is_integer()),
}
# keyword -> (what it applies to, how the value must relate to the limit, words)
_LIMITS: Dict[str, Tuple[str, Callable[[Any, Any], Any], str]] = {
    "maximum": ("number", lambda value, limit: value <= limit, "must be at most {}"),
    "exclusiveMaximum": ("number", lambda value, limit: value < limit, "must be below {}"),
    "minimum": ("number", lambda value, limit: value >= limit, "must be at least {}"),
    "exclusiveMinimum": ("number", lambda value, limit: value > limit, "must be above {}"),
    "multipleOf": ("number", lambda value, limit: _is_multiple(value, limit), "must be a multiple of {}"),
    "maxLength": ("string", lambda value, limit: len(value) <= limit, "must have at most {} characters"),
    "minLength": ("string", lambda value, limit: len(value) >= limit, "must have at least {} characters"),
    "pattern": ("string", lambda value, limit: re.search(limit, value) is not None, "must match {}"),
    "maxItems": ("array", lambda value, limit: len(value) <= limit, "must have at most {} items"),
    "minItems": ("array", lambda value, limit: len(value) >= limit, "must have at least {} items"),
    "maxProperties": ("object", lambda value, limit: len(value) <= limit, "must have at most {} keys"),
    "minProperties": ("object", lambda value, limit: len(value) >= limit, "must have at least {} keys"),
}


def problems_of(schema: Any, value: Any) -> List[str]:
    """What is wrong with a value, each with its path; empty when it fits. At most PROBLEMS_MAX."""
    return _Check(schema).run(schema, value, "")[:PROBLEMS_MAX]


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _is_multiple(value: Any, limit: Any) -> bool:
    if isinstance(value, int) and isinstance(limit, int):
        return value % limit == 0
    quotient = value / limit
    return bool(abs(quotient - round(quotient)) < 1e-9)


def _same(one: Any, other: Any) -> bool:
    """Equal as JSON: 1 is 1.0, and true is not 1."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_same(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_same, one, other))
    return isinstance(one, bool) == isinstance(other, bool) and bool(one == other)


class _Check:
    def __init__(self, root: Any) -> None:
        self._root = root

    def run(self, schema: Any, value: Any, path: str) -> List[str]:
        if isinstance(schema, bool):
            return [] if schema else [self._at(path, "is not allowed")]
        if "$ref" in schema:  # which hides all beside it
            return self.run(self._resolved(schema["$ref"]), value, path)
        found = self._values(schema, value, path)
        for keyword, (kind, fits, words) in _LIMITS.items():
            if keyword in schema and _TYPES[kind](value) and not fits(value, schema[keyword]):
                found.append(self._at(path, words.format(schema[keyword])))
        if isinstance(value, dict):
            found += self._object(schema, value, path)
        if isinstance(value, list):
            found += self._array(schema, value, path)
        return found + self._combined(schema, value, path)

    @staticmethod
    def _at(path: str, problem: str) -> str:
        return f"{path or 'the context'} {problem}"

    def _fits(self, schema: Any, value: Any) -> bool:
        return not self.run(schema, value, "")

    def _resolved(self, reference: str) -> Any:
        node = self._root
        for token in reference.removeprefix("#").split("/")[1:]:
            token = token.replace("~1", "/").replace("~0", "~")
            node = node[int(token)] if isinstance(node, list) else node[token]
        return node

    def _values(self, schema: Mapping[str, Any], value: Any, path: str) -> List[str]:
        found = []
        if "type" in schema:
            types = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
            if not any(_TYPES[name](value) for name in types):
                found.append(self._at(path, f"must be of type {' or '.join(types)}"))
        if "enum" in schema and not any(_same(value, one) for one in schema["enum"]):
            found.append(self._at(path, f"must be one of {json.dumps(schema['enum'])[:200]}"))
        if "const" in schema and not _same(value, schema["const"]):
            found.append(self._at(path, f"must be {json.dumps(schema['const'])[:200]}"))
        return found

    def _object(self, schema: Mapping[str, Any], value: Dict[str, Any], path: str) -> List[str]:
        dot = f"{path}." if path else ""
        found = [
            self._at(dot + name, "is missing") for name in schema.get("required", ()) if name not in value
        ]
        properties, patterns = schema.get("properties", {}), schema.get("patternProperties", {})
        for key, item in value.items():
            schemas = [properties[key]] if key in properties else []
            schemas += [one for pattern, one in patterns.items() if re.search(pattern, key)]
            if not schemas:
                schemas = [schema.get("additionalProperties", True)]
            for one in schemas:
                found += self.run(one, item, dot + key)
            found += self.run(schema.get("propertyNames", True), key, dot + key)
        for key, needed in schema.get("dependencies", {}).items():
            if key in value and isinstance(needed, list):
                found += [
                    self._at(dot + name, f"is missing beside {key}") for name in needed if name not in value
                ]
            elif key in value:
                found += self.run(needed, value, path)
        return found

    def _array(self, schema: Mapping[str, Any], value: List[Any], path: str) -> List[str]:
        found: List[str] = []
        items = schema.get("items", True)
        for index, item in enumerate(value):
            if not isinstance(items, list):
                one = items
            else:
                one = items[index] if index < len(items) else schema.get("additionalItems", True)
            found += self.run(one, item, f"{path}[{index}]")
        if schema.get("uniqueItems") and any(_same(a, b) for n, a in enumerate(value) for b in value[:n]):
            found.append(self._at(path, "must not hold the same item twice"))
        if "contains" in schema and not any(self._fits(schema["contains"], item) for item in value):
            found.append(self._at(path, "holds no item as it is wanted"))
        return found

    def _combined(self, schema: Mapping[str, Any], value: Any, path: str) -> List[str]:
        found = []
        for one in schema.get("allOf", ()):
            found += self.run(one, value, path)
        if "anyOf" in schema and not any(self._fits(one, value) for one in schema["anyOf"]):
            found.append(self._at(path, "fits none of the schemas of anyOf"))
        if "oneOf" in schema and sum(self._fits(one, value) for one in schema["oneOf"]) != 1:
            found.append(self._at(path, "must fit exactly one of the schemas of oneOf"))
        if "not" in schema and self._fits(schema["not"], value):
            found.append(self._at(path, "fits the schema of not"))
        if "if" in schema:
            branch = "then" if self._fits(schema["if"], value) else "else"
            found += self.run(schema.get(branch, True), value, path)
        return found
