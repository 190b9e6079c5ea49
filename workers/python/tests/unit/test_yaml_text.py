"""What the orchestrator reads from a text (orchestrator/options/yaml) is what the SDK reads from it."""

import os

import pytest

from tasker_worker import ConfigurationError, settings, templates, yaml_text
from tasker_worker.yaml_text import YamlError


def read(text, env=()):
    return yaml_text.to_data(yaml_text.fill(yaml_text.parse(text), dict(env)))


@pytest.mark.parametrize(
    "text, value",
    [
        ("no", "no"),
        ("yes", "yes"),
        ("on", "on"),
        ("true", True),
        ("FALSE", False),
        ("~", None),
        ("", None),
        ("010", 10),
        ("-7", -7),
        ("12:30", "12:30"),
        ("1e3", 1000.0),
        ("1.10", 1.1),
        (".5", 0.5),
        ("0x1F", "0x1F"),
        ("0o17", "0o17"),
        ("1_000", "1_000"),
        ("2024-01-01", "2024-01-01"),
        ("'010'", "010"),
        ('"no"', "no"),
        ("|\n  no\n", "no\n"),
        ("!!str 7", "7"),
        ("9223372036854775807", 9223372036854775807),
        ("{no: 25, 7: x}", {"no": 25, "7": "x"}),
        ("a: &x {b: 1}\nc: {<<: *x, d: 2}", {"a": {"b": 1}, "c": {"d": 2, "b": 1}}),
    ],
)
def test_scalars_have_the_types_of_the_core_schema(text, value):
    found = read(text)
    assert found == value and type(found) is type(value)


@pytest.mark.parametrize(
    "text, env, value",
    [
        ('"${ZIP}"', {"ZIP": "01234"}, "01234"),
        ("${ZIP}", {"ZIP": "01234"}, 1234),
        ("${EMPTY:-d}", {"EMPTY": ""}, "d"),
        ("${EMPTY}", {"EMPTY": ""}, None),
        ('"${COLOUR}"', {"COLOUR": "#fff"}, "#fff"),
        ("${COLOUR}", {"COLOUR": "#fff"}, "#fff"),
        ("a-${N}-$${N}", {"N": "1"}, "a-1-${N}"),
        ("${LIST}", {"LIST": "[1, 2]"}, "[1, 2]"),
    ],
)
def test_variables_are_text_until_their_scalar_is_typed(text, env, value):
    assert read(text, env) == value


@pytest.mark.parametrize(
    "text, problem",
    [
        ("a: [", "not valid YAML.*line"),
        ("{a: 1, a: 2}", "the key a is given twice"),
        ("? [a]\n: 1", "a key must be text"),
        ("a: 1\n---\nb: 2", "one document"),
        ("!!binary aGk=", "tag .* is not supported"),
        ("!!python/object/apply:os.getpid []", "tag .* is not supported"),
        ("&a [*a]", "has no value yet"),
        ("99999999999999999999", "does not fit into 64 bits"),
        ("1" * 5000, "does not fit into 64 bits"),
        ("1e999", "beyond what a double holds"),
        (".nan", "no form in JSON"),
        ('"a\\0b"', r"U\+0000"),
        ("<<: 3", "must be a mapping"),
        ("${A", "never closed"),
        ("${1A}", "no name of an environment variable"),
        ("${ABSENT}", "ABSENT is not set"),
        ("[" * 100_000, "deeper than 48 levels"),
        (
            "".join(
                f"k{n}: &k{n} [" + ", ".join([f"*k{n - 1}"] * 10 if n else ["1"] * 10) + "]\n"
                for n in range(9)
            ),
            "more than 500000 values",
        ),
    ],
)
def test_what_the_orchestrator_refuses_is_refused_and_costs_nothing(text, problem):
    with pytest.raises(YamlError, match=problem):
        read(text)


def test_names_keep_their_spelling():
    text = "{namespace_name: %s, name: t, version: 1.10, step_templates: [{name: 007, handler_class: X}]}"
    for name in ("no", "1.10", "007"):
        found = templates._read(yaml_text.parse(text % name), "test", {}, "t.yaml")
        assert (found.namespace, found.version, found.steps[0].name) == (name, "1.10", "007")


def test_only_regular_files_are_read(tmp_path):
    os.mkfifo(tmp_path / "pipe.yaml")
    with pytest.raises(ConfigurationError, match="pipe.yaml: cannot be read: it is no regular file"):
        templates.load_dir(str(tmp_path), "test", {})
    os.remove(tmp_path / "pipe.yaml")
    os.symlink("loop.yaml", tmp_path / "loop.yaml")
    with pytest.raises(ConfigurationError, match="loop.yaml: cannot be read"):
        templates.load_dir(str(tmp_path), "test", {})
    os.remove(tmp_path / "loop.yaml")
    (tmp_path / "secret").write_text("password: [hunter2\n")
    os.symlink("secret", tmp_path / "link.yaml")
    with pytest.raises(ConfigurationError, match="not valid YAML") as caught:
        templates.load_dir(str(tmp_path), "test", {})
    assert "hunter2" not in str(caught.value)
    with pytest.raises(YamlError, match="larger than"):
        (tmp_path / "large").write_text("#" * (yaml_text.FILE_BYTES_MAX + 1))
        yaml_text.read_file(str(tmp_path / "large"))


def test_a_pipe_as_configuration_does_not_hang_the_start(tmp_path):
    os.mkfifo(tmp_path / "zeromq.yaml")
    with pytest.raises(ConfigurationError, match="no regular file"):
        settings.read_config(str(tmp_path / "zeromq.yaml"))
