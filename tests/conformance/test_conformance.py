"""The golden vectors, run through every language's codec.

Each language offers a program that reads a folder of vectors and prints one JSON line per vector
(protocol/SPEC.md, "Conformance"). Here they are compared with the golden answers and with one another, the
accepted messages are validated against the JSON Schemas, and two more folders are generated and run as well:
vectors that are too large to keep in the repository, and mutated ones.

Environment: TASKER_BIN_DIR (where protocol-conformance is, default build/bin), TASKER_CONFORMANCE_SEED
(for the mutations; fixed by default, so that a run can be repeated).
"""

import base64
import json
import math
import os
import re
import subprocess
from decimal import Decimal
from pathlib import Path
from random import Random

import jsonschema
import pytest

ROOT = Path(__file__).resolve().parents[2]
BIN_DIR = Path(os.environ.get("TASKER_BIN_DIR", ROOT / "build" / "bin"))
VECTORS = ROOT / "protocol" / "vectors"
SCHEMAS = ROOT / "protocol" / "schema"
TIME_LIMIT_S = 120

PROGRAMS = {
    "cpp": [str(BIN_DIR / "protocol-conformance")],
    "ruby": [str(ROOT / "workers" / "ruby" / "bin" / "conformance")],
    "python": ["/usr/bin/python3", "-m", "tasker_worker.conformance"],
}
ERROR_CODES = {
    "bad_frame",
    "invalid_utf8",
    "malformed_json",
    "unknown_type",
    "missing_field",
    "wrong_type",
    "unsupported_version",
    "too_deep",
    "too_large",
    "out_of_range",
}
# Codes a JSON Schema of the message can see; the others concern the frame or the JSON text itself.
SCHEMA_CODES = {"missing_field", "wrong_type", "unsupported_version", "out_of_range"}
# What draft-07 cannot say: it takes 37.0 and 1e3 for integers and does not know calendars.
BEYOND_SCHEMA = {
    "heartbeat.n_exponent",
    "partial_result.execution_time_fraction",
    "partial_result.execution_time_minus_zero_point_zero",
    "partial_result.no_leap_day",
    "step_batch_request.created_at_no_such_day",
}


def load_vectors(folder):
    vectors = {}
    for path in sorted(folder.glob("*.json")):
        for vector in json.loads(path.read_text(encoding="utf-8")):
            assert vector["name"] not in vectors, f"two vectors are called {vector['name']}"
            vectors[vector["name"]] = vector
    return vectors


def frame_bytes(vector):
    if "frame_base64" in vector:
        return base64.b64decode(vector["frame_base64"])
    return vector["frame"].encode("utf-8")


def number(literal):
    """A double; what is beyond the doubles counts as the whole number that it is."""
    value = float(literal)
    return int(Decimal(literal)) if math.isinf(value) else value


def run_program(language, folder):
    environment = dict(os.environ)
    if language == "python":
        environment["PYTHONPATH"] = str(ROOT / "workers" / "python")
        environment["PYTHONDONTWRITEBYTECODE"] = "1"
    command = [*PROGRAMS[language], str(folder)]
    finished = subprocess.run(
        command, env=environment, capture_output=True, timeout=TIME_LIMIT_S, check=False
    )
    assert (
        finished.returncode == 0
    ), f"{' '.join(command)} failed:\n{finished.stderr.decode(errors='replace')}"
    answers = {}
    for line in finished.stdout.decode("utf-8").split("\n"):
        if line.strip():
            answer = json.loads(line, parse_float=number)
            assert answer["name"] not in answers, f"{language} answered {answer['name']} twice"
            answers[answer["name"]] = answer
    return answers


def exact(value):
    """A text that tells 1 from 1.0 and from true, and is the same for any order of an object's members."""
    return json.dumps(value, sort_keys=True, ensure_ascii=True)


def expected_answer(vector):
    if vector["accept"]:
        return {"name": vector["name"], "accept": True, "canonical": vector["canonical"]}
    return {"name": vector["name"], "accept": False, "code": vector["code"]}


def differences(vectors, answers):
    found = []
    for name, vector in vectors.items():
        wanted = expected_answer(vector)
        got = answers.get(name)
        if got is None:
            found.append(f"{name}: no answer")
        elif exact(got) != exact(wanted):
            found.append(f"{name}:\n    wanted {exact(wanted)[:600]}\n    got    {exact(got)[:600]}")
    found += [f"{name}: answered, but there is no such vector" for name in answers if name not in vectors]
    return found


@pytest.fixture(scope="module")
def vectors():
    return load_vectors(VECTORS)


@pytest.fixture(scope="module")
def answers():
    """Answers of all languages, or what went wrong, so that one broken language does not hide the others."""
    collected = {}
    for language in PROGRAMS:
        try:
            collected[language] = run_program(language, VECTORS)
        except (AssertionError, OSError, ValueError, subprocess.SubprocessError) as error:
            collected[language] = error
    return collected


MEBIBYTE = 1024 * 1024
REPORT_BYTES, BATCH_BYTES = MEBIBYTE + 256 * 1024, 16 * MEBIBYTE


def refused(name, base, body, code):
    """A vector of this body on the topic of another one."""
    topic = base["frame"].split(" ", 1)[0]
    direction = base["direction"]
    return {"name": name, "direction": direction, "frame": f"{topic} {body}", "accept": False, "code": code}


def taken(name, base, message, replace=("", "")):
    """The same for a message that is accepted; `replace` changes how it is written."""
    vector = refused(name, base, json.dumps(message).replace(*replace), "")
    return {**vector, "accept": True, "canonical": message}


def filled(base, member, size):
    """The canonical message, `member` filled up so that its JSON has `size` bytes."""
    empty = dict(base["canonical"], **{member: ""})
    return dict(empty, **{member: "y" * (size - len(json.dumps(empty)))})


def vectors_of_sizes(report, batch):
    big_report = json.dumps(dict(report["canonical"], output="x" * (MEBIBYTE + MEBIBYTE // 2)))
    big_batch = json.dumps(dict(batch["canonical"], padding="x" * BATCH_BYTES))
    report_over = json.dumps(filled(report, "output", REPORT_BYTES + 1))
    batch_over = json.dumps(filled(batch, "handler_class", BATCH_BYTES + 1))
    deep = "[" * 10_000 + "]" * 10_000
    objects = '{"a":' * 10_000 + "1" + "}" * 10_000
    return [
        refused("generated.report_too_large", report, big_report, "too_large"),
        refused("generated.batch_too_large", batch, big_batch, "too_large"),
        refused("generated.ten_thousand_levels", report, '{"message_type": %s}' % deep, "too_deep"),
        refused("generated.ten_thousand_objects", batch, objects, "too_deep"),
        refused("generated.half_a_megabyte_of_brackets", report, "[" * (MEBIBYTE // 2), "too_deep"),
        taken("generated.largest_result", report, dict(report["canonical"], output="y" * (MEBIBYTE - 2))),
        taken("generated.report_at_the_limit", report, filled(report, "output", REPORT_BYTES)),
        refused("generated.report_one_byte_over", report, report_over, "too_large"),
        taken("generated.batch_at_the_limit", batch, filled(batch, "handler_class", BATCH_BYTES)),
        refused("generated.batch_one_byte_over", batch, batch_over, "too_large"),
    ]


def vectors_of_numbers(report, batch):
    beyond = 10**400
    written = (str(beyond), "1e400")
    output = dict(report["canonical"], output=[beyond, -beyond, {"a": beyond}])
    step = dict(batch["canonical"]["steps"][0], task_context={"n": beyond})
    context = dict(batch["canonical"], steps=[step])
    return [
        taken("generated.output_beyond_the_doubles", report, output, written),
        taken("generated.output_of_401_digits", report, output),
        taken("generated.context_beyond_the_doubles", batch, context, written),
        taken("generated.context_of_401_digits", batch, context),
    ]


@pytest.fixture(scope="module")
def generated(tmp_path_factory):
    """(folder, vectors): frames beyond the size limits and one byte around them, nesting that exhausts a
    recursive parser, numbers beyond the doubles."""
    folder = tmp_path_factory.mktemp("vectors")
    golden = load_vectors(VECTORS)
    examples = golden["partial_result.full"], golden["step_batch_request.full"]
    made = vectors_of_sizes(*examples) + vectors_of_numbers(*examples)
    # Without the answers: not every parser can read a number of 401 digits among them.
    asked = [{key: vector[key] for key in ("name", "direction", "frame")} for vector in made]
    (folder / "generated.json").write_text(json.dumps(asked), encoding="utf-8")
    return folder, {vector["name"]: vector for vector in made}


@pytest.mark.parametrize("language", sorted(PROGRAMS))
def test_language_agrees_with_the_golden_vectors(language, vectors, answers):
    outcome = answers[language]
    assert isinstance(outcome, dict), f"{language}: {outcome}"
    found = differences(vectors, outcome)
    assert not found, f"{language}: {len(found)} of {len(vectors)} differ\n" + "\n".join(found)


def test_languages_agree_with_one_another(vectors, answers):
    broken = {language: outcome for language, outcome in answers.items() if not isinstance(outcome, dict)}
    assert not broken, f"no output of {broken}"
    disagreements = []
    for name in vectors:
        said = {language: exact(outcome.get(name)) for language, outcome in answers.items()}
        if len(set(said.values())) != 1:
            disagreements.append(f"{name}: {said}")
    assert not disagreements, "\n".join(disagreements)


@pytest.mark.parametrize("language", sorted(PROGRAMS))
def test_language_survives_large_and_deep_messages(language, generated):
    folder, wanted = generated
    found = differences(wanted, run_program(language, folder))
    assert not found, f"{language}:\n" + "\n".join(found)


def test_vectors_cover_every_message_and_every_code(vectors, generated):
    types = {path.stem for path in SCHEMAS.glob("*.json")}
    assert len(types) == 21
    accepted = {vector["canonical"]["message_type"] for vector in vectors.values() if vector["accept"]}
    assert accepted == types
    for message_type in types:
        for variant in ("full", "minimal", "pascal_case_type", "unknown_fields"):
            assert f"{message_type}.{variant}" in vectors
    everything = {**vectors, **generated[1]}
    assert {vector["code"] for vector in everything.values() if not vector["accept"]} == ERROR_CODES


def schema_of(message_type):
    schema = json.loads((SCHEMAS / f"{message_type}.json").read_text(encoding="utf-8"))
    jsonschema.Draft7Validator.check_schema(schema)
    return jsonschema.Draft7Validator(schema)


def test_accepted_vectors_satisfy_the_schemas(vectors):
    faults = []
    for name, vector in vectors.items():
        if not vector["accept"]:
            continue
        validator = schema_of(vector["canonical"]["message_type"])
        as_sent = json.loads(frame_bytes(vector).split(b" ", 1)[1])
        for form, message in (("canonical", vector["canonical"]), ("as sent", as_sent)):
            faults += [f"{name}, {form}: {error.message}" for error in validator.iter_errors(message)]
    assert not faults, "\n".join(faults)


def test_schemas_refuse_what_the_codecs_refuse(vectors):
    """Not everything can be said in a schema, but what can is: no schema is laxer than the codecs there."""
    accepted = []
    checked = 0
    for name, vector in vectors.items():
        message_type = name.split(".")[0]
        if vector["accept"] or vector["code"] not in SCHEMA_CODES or message_type == "frames":
            continue
        message = json.loads(frame_bytes(vector).split(b" ", 1)[1])
        checked += 1
        if schema_of(message_type).is_valid(message) and name not in BEYOND_SCHEMA:
            accepted.append(name)
    assert checked > 50
    assert not accepted, f"the schemas accept {accepted}"


def test_examples_of_the_specification_are_valid():
    text = (ROOT / "protocol" / "SPEC.md").read_text(encoding="utf-8")
    examples = [
        json.loads(block) for block in re.findall(r"^```json\n(.*?)\n```$", text, re.MULTILINE | re.DOTALL)
    ]
    assert {example["message_type"] for example in examples} == {path.stem for path in SCHEMAS.glob("*.json")}
    for example in examples:
        validator = schema_of(example["message_type"])
        assert not [error.message for error in validator.iter_errors(example)], example["message_type"]
        assert set(example) <= set(validator.schema["properties"]), example["message_type"]


def test_specification_names_every_field():
    text = (ROOT / "protocol" / "SPEC.md").read_text(encoding="utf-8")
    for path in SCHEMAS.glob("*.json"):
        for field in schema_of(path.stem).schema["properties"]:
            assert re.search(rf"\b{field}\b", text), f"{path.stem}.{field} is not in SPEC.md"
    for code in ERROR_CODES:
        assert f"`{code}`" in text


def mutated(frame, random):
    """The frame with small changes: bytes replaced, inserted, removed, repeated, or a value exchanged."""
    some_bytes = b'{}[]",:\\ u-+.0123456789eEtrufalsn\n\x01\xff\xc3\xa9'
    values = [
        b"null",
        b"-1",
        b"0",
        b"1.5",
        b'"x"',
        b"[]",
        b"{}",
        b"true",
        b"99999999999999999999",
        b'""',
        b"1e3",
    ]
    frame = bytearray(frame)
    for _ in range(random.randrange(1, 3)):
        at = random.randrange(len(frame) + 1)
        action = random.randrange(5)
        if action == 0:
            frame[at : at + 1] = bytes([random.choice(some_bytes)])
        elif action == 1:
            frame[at:at] = bytes([random.choice(some_bytes)])
        elif action == 2:
            del frame[at : at + random.randrange(1, 4)]
        elif action == 3:
            frame[at:at] = frame[at : at + random.randrange(1, 9)]
        else:
            found = list(re.finditer(rb'(?<=: )("[^"\\]*"|-?\d+|true|false|null)', bytes(frame)))
            if found:
                place = random.choice(found)
                frame[place.start() : place.end()] = random.choice(values)
    return bytes(frame)


# What writers must not send and readers may treat as they can: half surrogate pairs, and exponents of numbers
# that no stored document has.
BEYOND_THE_CONTRACT = re.compile(rb"[\s:,\[]-?[\d.]+[eE]\+?\d{4}|\\u[dD][89a-fA-F]")


def test_languages_agree_on_mutated_frames(vectors, tmp_path):
    """Whether a message is taken, and as what; codes may differ where there are several faults."""
    seed = int(os.environ.get("TASKER_CONFORMANCE_SEED", "20260301"))
    random = Random(seed)
    originals = list(vectors.values())
    made = []
    while len(made) < 4000:
        original = random.choice(originals)
        frame = mutated(frame_bytes(original), random)
        if BEYOND_THE_CONTRACT.search(frame):
            continue
        encoded = base64.b64encode(frame).decode()
        made.append({"name": str(len(made)), "direction": original["direction"], "frame_base64": encoded})
    (tmp_path / "mutated.json").write_text(json.dumps(made), encoding="utf-8")
    outcomes = {language: run_program(language, tmp_path) for language in PROGRAMS}
    disagreements = []
    for vector in made:
        said = {
            language: exact(outcome[vector["name"]].get("canonical"))
            for language, outcome in outcomes.items()
        }
        if len(set(said.values())) != 1:
            answers = {
                language: exact(outcome[vector["name"]])[:300] for language, outcome in outcomes.items()
            }
            disagreements.append(f"{frame_bytes(vector)!r}\n    {answers}")
    assert not disagreements, f"seed {seed}: {len(disagreements)} disagreements\n" + "\n".join(
        disagreements[:5]
    )
    taken = sum(answer["accept"] for answer in outcomes["cpp"].values())
    assert 50 < taken < 2000
