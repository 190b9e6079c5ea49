"""What the documents of the wire and of the workers state twice is compared here, so that no copy goes stale.

protocol/SPEC.md with the schemas, the codecs and the orchestrator's settings; workers/README.md with what
`tasker-worker --help` of every SDK prints, and with the sources. Nothing here needs a build.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SPEC = (ROOT / "protocol/SPEC.md").read_text(encoding="utf-8")
WORKERS = (ROOT / "workers/README.md").read_text(encoding="utf-8")
SCHEMAS = {
    path.stem: json.loads(path.read_text(encoding="utf-8"))
    for path in (ROOT / "protocol/schema").glob("*.json")
}
# Members of every message, or of every message of the orchestrator; SPEC states them once.
COMMON = {"message_type", "protocol_version", "orchestrator_id", "epoch"}
SMALL_MAX = 2**31 - 1
UNITS = {"KiB": 1024, "MiB": 1024 * 1024}

SDKS = {
    "ruby": [str(ROOT / "workers/ruby/exe/tasker-worker")],
    "python": ["/usr/bin/python3", "-m", "tasker_worker"],
}
SOURCES = {
    "ruby": sorted((ROOT / "workers/ruby/lib/tasker_worker").glob("*.rb")),
    "python": sorted((ROOT / "workers/python/tasker_worker").glob("*.py")),
}
# How each language names the base of handlers, and the files that only make a program or a package.
OWN_MODULES = {
    "ruby": {"step_handler"},
    "python": {"handlers", "event_loop", "context_schema", "results", "__init__", "__main__"},
}
# Options that load the user's code, and those of every program.
OWN_OPTIONS = {"--require", "--import", "--help", "--version"}


def section(text: str, heading: str) -> str:
    """What stands under a heading, up to the next one of the same or a higher level."""
    level = len(heading) - len(heading.lstrip("#"))
    found = re.search(rf"^{re.escape(heading)}\n(.*?)(?=^#{{1,{level}}} |\Z)", text, re.MULTILINE | re.DOTALL)
    assert found, f"there is no heading {heading!r}"
    return found.group(1)


def table(text: str, first: str) -> list[list[str]]:
    """The rows of the Markdown table whose first column has this head."""
    lines = text.splitlines()
    starts = [number for number, line in enumerate(lines) if line.startswith(f"| {first} |")]
    assert len(starts) == 1, f"{len(starts)} tables begin with a column {first!r}"
    rows = []
    for line in lines[starts[0] + 2 :]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip().removeprefix("|").removesuffix("|").split("|")])
    assert rows, f"the table {first!r} is empty"
    return rows


def code_words(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


# ---------------------------------------------------------------- SPEC.md and the schemas


def message_sections() -> Iterator[tuple[str, str, str]]:
    """(direction, message type, its section) of the message reference."""
    reference = section(SPEC, "## Message reference")
    for direction in ("worker", "orchestrator"):
        part = section(reference, f"### From the {direction}")
        for heading in re.findall(r"^#### (.+)$", part, re.MULTILINE):
            for message_type in heading.split(", "):
                yield direction, message_type, section(part, f"#### {heading}")


def named_fields(message_type: str, text: str) -> dict[str, bool]:
    """field -> whether it is optional, as the table of the section states it."""
    fields = {}
    for names, kind, *notes in table(text, "field"):
        if names.startswith("–"):
            continue  # a member of the list above
        only = re.search(r"`(\w+)` only", " ".join(notes))
        if only and only.group(1) in SCHEMAS and only.group(1) != message_type:
            continue
        for name in names.split(", "):
            field, _, mark = name.partition(" ")
            fields[field] = mark == "o" or kind == "o" or kind.startswith("o,")
    return fields


def test_the_message_reference_names_the_schemas():
    named = [message_type for _, message_type, _ in message_sections()]
    assert sorted(named) == sorted(SCHEMAS)


def test_the_message_reference_has_the_fields_of_the_schemas():
    for _, message_type, text in message_sections():
        schema = SCHEMAS[message_type]
        wanted = {
            field: field not in schema["required"] for field in schema["properties"] if field not in COMMON
        }
        assert named_fields(message_type, text) == wanted, message_type


def test_topics_and_directions_are_those_of_the_schemas():
    senders = {}
    for _, way, messages in table(section(SPEC, "## Frames and topics"), "topic"):
        for message_type in code_words(messages):
            senders[message_type] = way.split(" → ")[0].replace("session", "worker")
    assert set(senders) == set(SCHEMAS)
    for direction, message_type, _ in message_sections():
        assert senders[message_type] == direction, message_type
        description = SCHEMAS[message_type]["description"]
        assert re.search(rf"From (a|the) {direction} to", description), f"{message_type}: {description}"


def test_schemas_name_direction_and_topics_as_the_specification_does():
    topics: dict[str, list[str]] = {name: [] for name in SCHEMAS}
    directions = {}
    for topic, way, messages in table(section(SPEC, "## Frames and topics"), "topic"):
        for message_type in code_words(messages):
            topics[message_type].append(re.sub(r"^`|`$", "", topic))
            directions[message_type] = "to_worker" if way.startswith("orchestrator") else "to_orchestrator"
    for message_type, schema in SCHEMAS.items():
        assert schema["x-topic"] == topics[message_type], message_type
        assert schema["x-direction"] == directions[message_type], message_type


def resolved(schema: dict, definitions: dict) -> dict:
    """The schema itself behind a reference, or behind the choice between it and null."""
    for choice in schema.get("anyOf", []):
        if choice != {"type": "null"}:
            schema = choice
    return definitions[schema["$ref"].rsplit("/", 1)[1]] if "$ref" in schema else schema


def test_schemas_name_the_parts_that_are_passed_through():
    sentence = re.search(r"passed through as they are, whatever they contain: ([^.]+)\.", SPEC)
    assert sentence
    found = set()
    for message_type, schema in SCHEMAS.items():
        for path in schema["x-raw"]:
            place = schema
            for part in path.strip("/").split("/"):
                known = place["items"] if part == "*" else place["properties"][part]
                place = resolved(known, schema.get("definitions", {}))
            assert "additionalProperties" not in place, f"{message_type}{path}"
            found.add(path.rsplit("/", 1)[1])
        everything = json.dumps(schema["properties"])
        for name in ("output", "task_context", "handler_config", "previous_results"):
            if f'"{name}"' in everything:
                assert any(path.endswith(f"/{name}") for path in schema["x-raw"]), f"{message_type}: {name}"
    assert found == set(code_words(sentence.group(1)))


def small_numbers(schema: dict, definitions: dict, name: str = "") -> Iterator[str]:
    """The names of the numbers that reach to 2³¹−1 only."""
    if "$ref" in schema:
        schema = definitions[schema["$ref"].rsplit("/", 1)[1]]
    if schema.get("maximum") == SMALL_MAX:
        yield name
    for choice in schema.get("allOf", []) + schema.get("anyOf", []):
        yield from small_numbers(choice, definitions, name)
    if "items" in schema:
        # `sequences` holds numbers of the kind `sequence`.
        yield from small_numbers(schema["items"], definitions, name.removesuffix("s"))
    for field, value in schema.get("properties", {}).items():
        yield from small_numbers(value, definitions, field)


def test_the_numbers_with_a_smaller_bound_are_those_of_the_schemas():
    sentence = re.search(r"numbers reach only to 2³¹−1: ([^.]+)\.", SPEC)
    assert sentence
    named = set(code_words(sentence.group(1)))
    found = {
        name for schema in SCHEMAS.values() for name in small_numbers(schema, schema.get("definitions", {}))
    }
    assert {"_steps" if name.endswith("_steps") else name for name in found} == named


# ---------------------------------------------------------------- SPEC.md and the programs


def size(text: str) -> int:
    number, _, unit = text.partition(" ")
    return int(number) * UNITS.get(unit, 1)


def constant(path: str, name: str) -> int:
    """A number that C++, Ruby or Python write as factors: 16LL * 1024 * 1024, std::size_t{1024} * 1024."""
    text = (ROOT / path).read_text(encoding="utf-8")
    found = re.search(rf"\b{name} ?(?:=|\{{)([^;\n}}#]*(?:\}}[^;\n#]*)?)", text)
    assert found, f"{path} has no {name}"
    product = 1
    for factor in re.findall(r"\b\d[\d']*", re.sub(r"\w+_t\b", "", found.group(1))):
        product *= int(factor.replace("'", ""))
    return product


LIMIT_NAMES = {
    "batch_bytes": ("kBatchBytesMax", "BATCH_BYTES_MAX"),
    "result_bytes": ("kResultBytesMax", "RESULT_BYTES_MAX"),
    "depth": ("kJsonDepthMax", "DEPTH_MAX"),
    "inventory_bytes": ("kInventoryBytesMax", "INVENTORY_BYTES_MAX"),
    "around a result": ("kEnvelopeBytesMax", "ENVELOPE_BYTES_MAX"),
}


def test_limits_are_those_of_welcome_and_of_every_codec():
    limits = {
        code_words(name)[0]: size(value) for name, value, _ in table(section(SPEC, "## Limits"), "limit")
    }
    announced = SCHEMAS["welcome"]["properties"]["limits"]
    assert sorted(limits) == sorted(announced["properties"])
    for name in announced["required"]:  # the others are no settings
        assert constant("orchestrator/options/options.hpp", name) == limits[name], name
    around = re.search(r"MUST NOT exceed `result_bytes` \+ (\d+ KiB)", SPEC)
    assert around
    limits["around a result"] = size(around.group(1))
    for name, value in limits.items():
        in_cpp, in_scripts = LIMIT_NAMES[name]
        assert constant("protocol/cpp/messages.hpp", in_cpp) == value, name
        assert constant("workers/ruby/lib/tasker_worker/wire/codec.rb", in_scripts) == value, name
        assert constant("workers/python/tasker_worker/wire/codec.py", in_scripts) == value, name


def test_timers_are_those_of_the_settings_and_of_the_schemas():
    for name, default, announced, _ in table(section(SPEC, "## Heartbeats and restarts"), "timer"):
        timer = code_words(name)[0]
        setting = timer.removesuffix("_ms")
        assert constant("orchestrator/options/options.hpp", f"milliseconds {setting}") == int(default), timer
        announcing = {message for message, schema in SCHEMAS.items() if timer in schema["properties"]}
        assert announcing == set(code_words(announced)), timer


def test_reasons_of_a_hand_back_are_those_of_the_codec():
    named = [word for reason, *_ in table(section(SPEC, "## Work"), "reason") for word in code_words(reason)]
    text = (ROOT / "protocol/cpp/messages.cpp").read_text(encoding="utf-8")
    array = re.search(r"kReasons\b[^;]*?\{(.*?)\}", text, re.DOTALL)
    assert array
    assert sorted([*named, "other"]) == sorted(re.findall(r'"(\w+)"', array.group(1)))


@pytest.mark.parametrize("sdk", ["ruby", "python"])
def test_codes_of_errors_are_those_of_the_sdk(sdk: str):
    sources = "\n".join(path.read_text(encoding="utf-8") for path in SOURCES[sdk])
    rows = table(section(SPEC, "## Reports, acks and the outbox"), "error_code")
    named = {code for codes, *_ in rows for code in code_words(codes)}
    for code in named:
        assert re.search(rf"""["']{code}["']""", sources), f"{sdk} has no {code}"
    given = r"""(?:error_code["']?\s?[:=]\s*|OutputRefused\(|Refused\.new\()["'](\w+)["']"""
    raised = set(re.findall(given, sources))
    assert raised
    assert raised - {"validation_error", "not_found"} <= named


def test_codes_of_rejected_reports_are_those_of_the_orchestrator():
    """Each place that refuses a report names its code."""
    turns = ROOT / "orchestrator/engine/turns"
    text = "\n".join(path.read_text(encoding="utf-8") for path in sorted(turns.glob("*.cpp")))
    used = set(re.findall(r'acks_\.refuse\(facts, "(\w+)"\)|fault = "(\w+)"|facts\.sequence, "(\w+)"', text))
    rows = table(section(SPEC, "## Reports, acks and the outbox"), "code in `rejected`")
    assert {word for name, _ in rows for word in code_words(name)} == {
        code for one in used for code in one if code
    }


# ---------------------------------------------------------------- workers/README.md and the SDKs


@cache
def help_of(sdk: str) -> str:
    environment = dict(os.environ, PYTHONPATH=str(ROOT / "workers/python"), PYTHONDONTWRITEBYTECODE="1")
    environment["COLUMNS"] = "200"  # no word is torn at the end of a line
    done = subprocess.run(
        [*SDKS[sdk], "--help"], env=environment, capture_output=True, text=True, timeout=60, check=True
    )
    return done.stdout


def test_the_table_of_all_exit_codes_is_that_of_the_sources():
    """docs/exit-codes.md has a cell for each code of a program, and a dash for each other."""
    sources = {
        1: enumerators("orchestrator/cli/exit_code.hpp", "ExitCode"),
        2: enumerators("orchestrator/daemon/service.hpp", "ServiceExit"),
        3: {int(row[0]) for row in table(section(WORKERS, "## Exit codes"), "code")},
    }
    rows = table((ROOT / "docs/exit-codes.md").read_text(encoding="utf-8"), "code")
    for column, codes in sources.items():
        assert {int(row[0]) for row in rows if row[column] != "–"} == codes


def enumerators(path: str, name: str) -> set[int]:
    text = (ROOT / path).read_text(encoding="utf-8")
    found = re.search(rf"enum class {name} {{(.*?)}};", text, re.DOTALL)
    assert found, f"{path} has no enum {name}"
    return {int(number) for number in re.findall(r"= (\d+)", found.group(1))}


@pytest.mark.parametrize("sdk", SDKS)
def test_exit_codes_are_those_that_help_lists(sdk: str):
    listed = re.search(r"^exit codes:\n((?:  +\d.*\n)+)", help_of(sdk), re.MULTILINE | re.IGNORECASE)
    assert listed, f"{sdk}: --help lists no exit codes"
    in_help = dict(re.findall(r"^ +(\d+) +(.*)$", listed.group(1), re.MULTILINE))
    rows = table(section(WORKERS, "## Exit codes"), "code")
    assert [code for code, *_ in rows] == list(in_help)
    for code, short, _ in rows:
        assert short in in_help[code], f"{sdk} describes {code} as {in_help[code]!r}, not as {short!r}"


@pytest.mark.parametrize("sdk", SDKS)
def test_options_and_defaults_are_those_that_help_lists(sdk: str):
    part = re.search(r"^options:\n(.*?)^$", help_of(sdk), re.MULTILINE | re.DOTALL | re.IGNORECASE)
    assert part, f"{sdk}: --help lists no options"
    # An option's text reaches to the next option.
    entries = re.findall(
        r"^ {2,8}(?:-\w, +)?(--[\w-]+)(.*?)(?=^ {2,8}-|\Z)", part.group(1), re.MULTILINE | re.DOTALL
    )
    in_help = {name: " ".join(rest.split()) for name, rest in entries}
    rows = table(section(WORKERS, "## Settings"), "option")
    named = {code_words(option)[0].split()[0]: default.strip("`") for option, default, *_ in rows}
    assert set(named) == set(in_help) - OWN_OPTIONS
    for option, default in named.items():
        if default:
            given = re.search(r"\(default[^)]*\)", in_help[option])
            assert given, f"{sdk}: {option} has no default in {in_help[option]!r}"
            assert re.search(rf"(?<!\w){re.escape(default)}(?!\w)", given.group(0)), f"{sdk}: {option}"


TABLE_OF_ERRORS = {
    "ruby": [
        "ruby",
        f"-I{ROOT}/workers/ruby/lib",
        "-rtasker_worker",
        "-e",
        "puts JSON.generate(TaskerWorker::Verdict::TABLE.transform_keys(&:name))",
    ],
    "python": [
        "/usr/bin/python3",
        "-c",
        "import json; from tasker_worker.verdict import TABLE;"
        "print(json.dumps({f'{key.__module__}.{key.__qualname__}': TABLE[key] for key in TABLE}))",
    ],
}


@pytest.mark.parametrize("sdk", SDKS)
def test_the_table_of_errors_is_that_of_the_sdk(sdk: str):
    environment = dict(os.environ, PYTHONPATH=str(ROOT / "workers/python"), PYTHONDONTWRITEBYTECODE="1")
    done = subprocess.run(
        TABLE_OF_ERRORS[sdk], env=environment, capture_output=True, text=True, timeout=60, check=True
    )
    # JSON::ParserError keeps its module; tasker_worker.errors.TimeoutError does not.
    in_sdk = {
        re.sub(r"^TaskerWorker::|^.*\.", "", name): ends for name, ends in json.loads(done.stdout).items()
    }
    rows = table(section(WORKERS, "## Which errors are tried again"), "Python")
    named = {
        name.removeprefix("json."): code_words(row[2])[0]
        for row in rows
        for name in code_words(row[1 if sdk == "ruby" else 0])
    }
    assert named == in_sdk


def test_log_lines_are_those_of_the_catalogue():
    """workers/log_events.json, which the tests of each SDK compare with its sources."""
    events = json.loads((ROOT / "workers/log_events.json").read_text(encoding="utf-8"))
    part = section(WORKERS, "## Log lines")
    group = re.search(r"\*\*the step's fields\*\*: ([^.]+)\.", part)
    assert group
    step = code_words(group.group(1))
    shown = []
    for level, event, cell in table(part, "level"):
        fields, optional = [], []
        for field in filter(None, re.sub(r"\([^)]*\)", "", cell).strip().split(", ")):
            name, _, mark = field.strip().partition(" ")
            if field == "the step's fields":
                fields += step
            else:
                (optional if mark == "o" else fields).append(name)
        shown.append({"event": event.strip("`"), "level": level, "fields": fields, "optional": optional})
    assert shown == [{"optional": [], **event} for event in events]


@pytest.mark.parametrize("sdk", SDKS)
def test_modules_are_the_files(sdk: str):
    named = {code_words(module)[0] for module, _ in table(section(WORKERS, "## Modules"), "module")}
    files = {path.stem for path in SOURCES[sdk]} | {"wire/"}
    assert named == files - OWN_MODULES[sdk]
    assert OWN_MODULES[sdk] <= files
    assert (SOURCES[sdk][0].parent / "wire").is_dir()


# ---------------------------------------------------------------- the documents themselves

DOCUMENTS = [
    "protocol/SPEC.md",
    "workers/README.md",
    "workers/conformance/README.md",
    "workers/python/README.md",
    "workers/ruby/README.md",
]


def headings(path: Path) -> list[str]:
    without_code = re.sub(
        r"^```.*?^```$", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL
    )
    return re.findall(r"^#+ (.+)$", without_code, re.MULTILINE)


def anchor(heading: str) -> str:
    """The anchor that a heading gets: lower case, hyphens for spaces, no other punctuation."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def test_the_readmes_of_the_sdks_have_one_shape():
    ruby, python = (headings(ROOT / f"workers/{sdk}/README.md")[1:] for sdk in ("ruby", "python"))
    assert ruby == python
    assert len(ruby) > 3


@pytest.mark.parametrize("document", DOCUMENTS)
def test_links_lead_somewhere(document: str):
    path = ROOT / document
    links = re.findall(r"\]\(([^)\s]+)\)", path.read_text(encoding="utf-8"))
    assert links
    for link in links:
        if re.match(r"\w+:", link):
            continue
        name, _, fragment = link.partition("#")
        target = (path.parent / name).resolve() if name else path
        assert target.exists(), link
        if fragment:
            assert fragment in {anchor(heading) for heading in headings(target)}, link
