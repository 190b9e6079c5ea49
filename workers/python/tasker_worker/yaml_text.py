"""Reads YAML as the orchestrator does: the core schema of YAML 1.2, with the same limits.

PyYAML knows YAML 1.1 only, where `no` is false, `12:30` is 750 and `010` is 8. So its parser is asked for
events, and the types are decided here. A scalar keeps its spelling until it is used, since a name may look
like a number (`1.10`), and since variables are filled in before the type is decided.

A tree consists of dicts (text keys), lists, and leaves: Scalar, or the Python values of `from_data`.
"""

import math
import os
import re
import stat
from typing import Any, Callable, Dict, Iterator, List, Mapping, NamedTuple, Optional, Tuple

import yaml

FILE_BYTES_MAX = 16 * 1024 * 1024
NODES_MAX = 500_000
DEPTH_MAX = 48

_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_events: Callable[..., Iterator[Any]] = yaml.parse
_INTEGER = re.compile(r"[+-]?[0-9]+\Z", re.ASCII)
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?\Z", re.ASCII)
_NOT_FINITE = re.compile(r"[+-]?\.(inf|Inf|INF|nan|NaN|NAN)\Z")
_NULLS = ("", "~", "null", "Null", "NULL")
_BOOLEANS = {word: word[0] in "tT" for word in ("true", "True", "TRUE", "false", "False", "FALSE")}
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z", re.ASCII)
_PREFIX = "tag:yaml.org,2002:"
_TYPED_TAGS = tuple(_PREFIX + name for name in ("int", "float", "bool", "null"))


class YamlError(Exception):
    """The text is no YAML, or not what may stand here. Quotes nothing of the text but names."""


class Scalar(NamedTuple):
    """A scalar as it is spelled; `quoted` (or a block) is text whatever it looks like."""

    text: str
    quoted: bool


def read_file(path: str) -> Any:
    """The tree of a regular file; YamlError when it is none, cannot be read, or is too large.

    Nothing waits here: a pipe or a device is refused.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(descriptor, "rb") as stream:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise YamlError("cannot be read: it is no regular file")
            content = stream.read(FILE_BYTES_MAX + 1)
    except OSError as error:
        raise YamlError(f"cannot be read: {error.strerror}") from None
    if len(content) > FILE_BYTES_MAX:
        raise YamlError(f"cannot be read: it is larger than {FILE_BYTES_MAX} bytes")
    try:
        return parse(content.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise YamlError(f"cannot be read: byte {error.start} is not UTF-8") from None


def parse(text: str) -> Any:
    """The tree of one document; an empty text is an empty scalar."""
    try:
        return _Builder().run(_events(text, Loader=_Loader))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = "" if mark is None else f" (line {mark.line + 1}, column {mark.column + 1})"
        raise YamlError(f"not valid YAML: {getattr(error, 'problem', None) or 'malformed'}{where}") from None


class _Frame:
    """An open mapping or list."""

    def __init__(self, value: Any, anchor: Optional[str]) -> None:
        self.value = value
        self.anchor = anchor
        #: the key whose value comes next, and whether it was quoted
        self.key: Optional[Scalar] = None
        self.merged: List[Dict[str, Any]] = []


class _Builder:
    """Makes a tree of events, and counts: aliases make small files large."""

    def __init__(self) -> None:
        self._open: List[_Frame] = []
        self._anchors: Dict[str, Tuple[Any, int, int]] = {}
        self._nodes = 0
        self._root: Any = Scalar("", False)

    def run(self, events: Iterator[Any]) -> Any:
        documents = 0
        for event in events:
            if isinstance(event, yaml.DocumentStartEvent):
                documents += 1
                if documents > 1:
                    raise self._refused(event, "a file holds one document, here a second one starts")
            elif isinstance(event, yaml.ScalarEvent):
                self._scalar(event)
            elif isinstance(event, yaml.AliasEvent):
                self._alias(event)
            elif isinstance(event, (yaml.MappingStartEvent, yaml.SequenceStartEvent)):
                self._start(event)
            elif isinstance(event, (yaml.MappingEndEvent, yaml.SequenceEndEvent)):
                self._end(event)
        return self._root

    @staticmethod
    def _refused(event: Any, problem: str) -> YamlError:
        mark = event.start_mark
        return YamlError(f"{problem} (line {mark.line + 1}, column {mark.column + 1})")

    def _awaits_key(self) -> bool:
        return bool(self._open) and type(self._open[-1].value) is dict and self._open[-1].key is None

    def _scalar(self, event: Any) -> None:
        if "\x00" in event.value:
            raise self._refused(event, "a text holds U+0000")
        scalar = Scalar(event.value, self._is_text(event))
        if self._awaits_key():
            self._open[-1].key = scalar
        else:
            self._add(scalar, event, event.anchor)

    def _is_text(self, event: Any) -> bool:
        if event.tag is None:
            return event.style is not None and event.style != ""
        if event.tag in ("!", _PREFIX + "str"):
            return True
        if event.tag in _TYPED_TAGS:
            return False
        raise self._refused(event, f"the tag {event.tag} is not supported")

    def _alias(self, event: Any) -> None:
        if self._awaits_key():
            raise self._refused(event, "a key must be text")
        if event.anchor not in self._anchors:
            raise self._refused(event, f"the alias {event.anchor} has no value yet")
        value, nodes, depth = self._anchors[event.anchor]
        self._count(event, nodes - 1, depth)
        self._add(_copy(value), event, None)

    def _count(self, event: Any, nodes: int, depth: int) -> None:
        self._nodes += nodes
        if self._nodes > NODES_MAX:
            raise self._refused(event, f"it holds more than {NODES_MAX} values, aliases expanded")
        if len(self._open) + depth > DEPTH_MAX:
            raise self._refused(event, f"values are nested deeper than {DEPTH_MAX} levels")

    def _start(self, event: Any) -> None:
        is_map = isinstance(event, yaml.MappingStartEvent)
        own = "map" if is_map else "seq"
        if event.tag not in (None, "!", _PREFIX + own):
            raise self._refused(event, f"the tag {event.tag} is not supported")
        if self._awaits_key():
            raise self._refused(event, "a key must be text")
        self._count(event, 0, 1)
        self._open.append(_Frame({} if is_map else [], event.anchor))

    def _end(self, event: Any) -> None:
        frame = self._open.pop()
        # Merged keys come after the mapping's own, which win; of several mappings the first wins.
        for source in frame.merged:
            for key, value in source.items():
                frame.value.setdefault(key, value)
        self._add(frame.value, event, frame.anchor)

    def _add(self, value: Any, event: Any, anchor: Optional[str]) -> None:
        self._count(event, 1, 0)
        if anchor is not None:
            self._anchors[anchor] = (value, *_measure(value))
        if not self._open:
            self._root = value
            return
        frame = self._open[-1]
        if type(frame.value) is list:
            frame.value.append(value)
            return
        key, frame.key = frame.key, None
        assert key is not None, "a value comes after its key"
        if key.text == "<<" and not key.quoted:
            self._merge(frame, value, event)
        elif key.text in frame.value:
            raise self._refused(event, f"the key {key.text[:80]} is given twice in one mapping")
        else:
            frame.value[key.text] = value

    def _merge(self, frame: _Frame, value: Any, event: Any) -> None:
        sources = value if type(value) is list else [value]
        if not all(type(source) is dict for source in sources):
            raise self._refused(event, "the value of << must be a mapping or a list of mappings")
        frame.merged.extend(sources)


def _copy(value: Any) -> Any:
    if type(value) is dict:
        return {key: _copy(item) for key, item in value.items()}
    return [_copy(item) for item in value] if type(value) is list else value


def _measure(value: Any) -> Tuple[int, int]:
    """(values, levels) of a tree; a scalar has no level."""
    if type(value) not in (dict, list):
        return 1, 0
    inner = [_measure(item) for item in (value.values() if type(value) is dict else value)]
    return 1 + sum(nodes for nodes, _ in inner), 1 + max((depth for _, depth in inner), default=0)


def from_data(value: Any) -> Any:
    """Parsed content as a tree. Texts are texts, except those with a variable: they count as unquoted."""
    if isinstance(value, Mapping):
        return {str(key): from_data(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [from_data(item) for item in value]
    return Scalar(value, "${" not in value) if isinstance(value, str) else value


def fill(node: Any, env: Mapping[str, str]) -> Any:
    """The tree with `${NAME}` and `${NAME:-default}` replaced, `$${` made `${`; YamlError names the variable.

    A variable that is set but empty takes its default, if it has one.
    """
    if type(node) is dict:
        return {key: fill(item, env) for key, item in node.items()}
    if type(node) is list:
        return [fill(item, env) for item in node]
    if not isinstance(node, Scalar) or "${" not in node.text:
        return node
    return Scalar(_filled(node.text, env), node.quoted)


def _filled(text: str, env: Mapping[str, str]) -> str:
    parts: List[str] = []
    at = 0
    while (start := text.find("${", at)) >= 0:
        if start > at and text[start - 1] == "$":
            parts.append(text[at : start - 1] + "${")
            at = start + 2
            continue
        end = text.find("}", start)
        if end < 0:
            raise YamlError(
                "'${' is never closed; write ${NAME}, ${NAME:-default}, or $${ for the characters"
            )
        parts.append(text[at:start])
        parts.append(_variable(text[start + 2 : end], env))
        at = end + 1
    return "".join([*parts, text[at:]])


def _variable(inner: str, env: Mapping[str, str]) -> str:
    name, has_default, default = inner.partition(":-")
    if not _NAME.match(name):
        raise YamlError(f"{name[:80]!r} is no name of an environment variable")
    found = env.get(name)
    if found or (found is not None and not has_default):
        return found
    if has_default:
        return default
    raise YamlError(f"the environment variable {name} is not set and has no default")


def spelling(node: Any) -> Optional[str]:
    """The text of a scalar as it is written, or None: what names and versions are read as."""
    if isinstance(node, Scalar):
        return node.text if node.text or node.quoted else None
    return None if node is None or isinstance(node, (dict, list)) else str(node)


def to_data(node: Any) -> Any:
    """The JSON value of a tree; YamlError for a number that JSON or 64 bits cannot hold."""
    if type(node) is dict:
        return {key: to_data(item) for key, item in node.items()}
    if type(node) is list:
        return [to_data(item) for item in node]
    if not isinstance(node, Scalar) or node.quoted:
        return node.text if isinstance(node, Scalar) else node
    return _typed(node.text)


def _typed(text: str) -> Any:
    if text in _NULLS:
        return None
    if text in _BOOLEANS:
        return _BOOLEANS[text]
    if _INTEGER.match(text):
        if len(text.lstrip("+-0")) <= 19 and -(2**63) <= int(text) < 2**63:
            return int(text)
        raise YamlError(f"{text[:40]} does not fit into 64 bits; put it in quotes to pass it on as text")
    if _NUMBER.match(text):
        number = float(text)
        if math.isfinite(number):
            return number
        raise YamlError(f"{text[:40]} is beyond what a double holds; put it in quotes to pass it on as text")
    if _NOT_FINITE.match(text):
        raise YamlError(f"{text} has no form in JSON; put it in quotes to pass it on as text")
    return text
