"""Secret references: `{"$secret": "stripe/api_key"}` in a handler_config stands for the worker's own value.

The database and the wire hold the reference. The value is looked up when a handler is built: in the folder of
`--secrets-dir` (one file each), then in TASKER_SECRET_STRIPE_API_KEY, then by what `provide` was given.
Whatever was resolved is replaced by MASK in errors, backtraces and log lines.
"""

import os
import re
from typing import Any, Callable, Dict, Iterator, List, Mapping, Optional

from .errors import PermanentError, SecretError

REFERENCE = "$secret"
MASK = "•••"
NAME_CHARACTERS_MAX = 200
VALUE_BYTES_MAX = 64 * 1024
# What is shorter stands in too many texts by chance.
MASKED_CHARACTERS_MIN = 4
# A line of a longer value, such as a PEM block, is masked by itself as well.
MASKED_LINE_CHARACTERS_MIN = 16
_NAME = re.compile(r"(?!\.{1,2}(/|\Z))[A-Za-z0-9_.-]+(/(?!\.{1,2}(/|\Z))[A-Za-z0-9_.-]+)*\Z", re.ASCII)


class Secrets:
    """Where this process finds its secrets, and what it must not show."""

    def __init__(self, directory: Optional[str] = None, env: Mapping[str, str] = os.environ) -> None:
        self.directory = directory
        self.provider: Optional[Callable[[str], Optional[str]]] = None
        self._env = env
        #: the longest first, so that no rest of one remains
        self._shown: List[str] = []

    def resolved(self, config: Any) -> Any:
        """The configuration with the values in place of their references, as a copy.

        SecretError when one is not known here, PermanentError when a reference is none.
        """
        if isinstance(config, dict):
            if REFERENCE in config:
                return self.value(name_of(config))
            return {key: self.resolved(item) for key, item in config.items()}
        return [self.resolved(item) for item in config] if isinstance(config, list) else config

    def value(self, name: str) -> str:
        """The secret of that name; SecretError when this worker does not know it."""
        found = self._of_file(name) or self._env.get(variable_of(name)) or self._provided(name)
        if not found:
            raise SecretError(f"there is no secret {name}: {self._advice(name)}")
        self._hide(found)
        return found

    def mask(self, text: str) -> str:
        """The text without any value that was resolved."""
        for value in self._shown:
            text = text.replace(value, MASK)
        return text

    def masked(self, value: Any) -> Any:
        """The same for all texts in a JSON value."""
        if not self._shown:
            return value
        if isinstance(value, dict):
            return {self.mask(key): self.masked(item) for key, item in value.items()}
        if isinstance(value, list):
            return [self.masked(item) for item in value]
        return self.mask(value) if isinstance(value, str) else value

    def _of_file(self, name: str) -> Optional[str]:
        if self.directory is None:
            return None
        path = os.path.join(self.directory, *name.split("/"))
        try:
            with open(path, "rb") as stream:
                data = stream.read(VALUE_BYTES_MAX + 1)
            if len(data) > VALUE_BYTES_MAX:
                raise SecretError(
                    f"the secret {name} cannot be read: {path}: it has more than {VALUE_BYTES_MAX} bytes"
                )
            text = data.decode("utf-8")
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (OSError, UnicodeError) as error:
            raise SecretError(f"the secret {name} cannot be read: {path}: {type(error).__name__}") from None
        # Editors and `echo` end a file with a line end that is no part of it.
        return text.removesuffix("\n").removesuffix("\r")

    def _provided(self, name: str) -> Optional[str]:
        found = None if self.provider is None else self.provider(name)
        return None if found is None else str(found)

    def _advice(self, name: str) -> str:
        variable = f"set {variable_of(name)} in the environment of the worker"
        if self.directory is None:
            return f"{variable}, or start it with --secrets-dir"
        return f"write it into {os.path.join(self.directory, name)}, or {variable}"

    def _hide(self, value: str) -> None:
        lines = [line.strip() for line in value.splitlines()]
        found = [
            value,
            repr(value)[1:-1],
            *(line for line in lines if len(line) >= MASKED_LINE_CHARACTERS_MIN),
        ]
        hidden = {*self._shown, *(one for one in found if len(one) >= MASKED_CHARACTERS_MIN)}
        self._shown = sorted(hidden, key=len, reverse=True)


def name_of(reference: Dict[str, Any]) -> str:
    """The name in a reference; PermanentError when it is none."""
    name = reference[REFERENCE]
    if (
        len(reference) == 1
        and isinstance(name, str)
        and len(name) <= NAME_CHARACTERS_MAX
        and _NAME.match(name)
    ):
        return name
    raise PermanentError(
        f'a secret reference is {{"{REFERENCE}": NAME}} without other keys; a NAME has letters, digits, _ . -'
        f" and / between its parts, and at most {NAME_CHARACTERS_MAX} characters",
        error_code="bad_secret_reference",
    )


def references(config: Any) -> Iterator[Dict[str, Any]]:
    """Every secret reference in a configuration, whatever it names."""
    if isinstance(config, dict) and REFERENCE in config:
        yield config
    elif isinstance(config, (dict, list)):
        for item in config.values() if isinstance(config, dict) else config:
            yield from references(item)


def variable_of(name: str) -> str:
    """TASKER_SECRET_STRIPE_API_KEY for `stripe/api_key`."""
    return "TASKER_SECRET_" + re.sub(r"[^A-Z0-9]", "_", name.upper())


#: those of this process
shared = Secrets()


def provide(provider: Callable[[str], Optional[str]]) -> None:
    """Names a function of a secret's name that returns its value, or None when it does not know it.

    It is asked for what neither `--secrets-dir` nor the environment has, in the thread that builds the
    handler.
    """
    shared.provider = provider
