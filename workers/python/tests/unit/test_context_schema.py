"""The schema check of the test helpers says the same as a full implementation of JSON Schema draft 7."""

import random

import pytest

from tasker_worker.context_schema import problems_of

jsonschema = pytest.importorskip("jsonschema")

SCHEMAS = [
    True,
    False,
    {"type": "object", "required": ["a", "b"], "properties": {"a": {"type": "integer"}}},
    {"type": ["string", "null"]},
    {"type": "integer"},
    {"type": "number", "minimum": 1, "exclusiveMaximum": 3},
    {"maximum": 2, "exclusiveMinimum": 0.5, "multipleOf": 0.5},
    {"multipleOf": 2},
    {"enum": [1, "a", None, ["a"], {"a": "b"}]},
    {"const": True},
    {"const": 1},
    {"minLength": 1, "maxLength": 2, "pattern": "^a"},
    {"items": {"type": "integer"}, "minItems": 1, "maxItems": 2},
    {"items": [{"type": "integer"}, True], "additionalItems": False},
    {"uniqueItems": True},
    {"contains": {"const": 1}},
    {"minProperties": 1, "maxProperties": 1, "propertyNames": {"pattern": "^[ab]"}},
    {
        "properties": {"a": True},
        "patternProperties": {"^b": {"type": "string"}},
        "additionalProperties": False,
    },
    {"additionalProperties": {"type": "integer"}},
    {"dependencies": {"a": ["b"], "b": {"required": ["c"]}}},
    {"allOf": [{"type": "object"}, {"required": ["a"]}]},
    {"anyOf": [{"type": "string"}, {"minimum": 2}]},
    {"oneOf": [{"type": "integer"}, {"minimum": 2}]},
    {"not": {"type": "object"}},
    {"if": {"required": ["a"]}, "then": {"required": ["b"]}, "else": {"type": "object"}},
    {"definitions": {"x~/y": {"type": "integer"}}, "properties": {"a": {"$ref": "#/definitions/x~0~1y"}}},
    {"properties": {"a": {"$ref": "#"}, "b": {"type": "integer"}}, "additionalProperties": False},
]


def some_value(chance, depth=0):
    kind = chance.randrange(8 if depth < 3 else 6)
    if kind == 6:
        return [some_value(chance, depth + 1) for _ in range(chance.randrange(4))]
    if kind == 7:
        names = chance.sample(["a", "b", "c", "bb"], chance.randrange(5))
        return {name: some_value(chance, depth + 1) for name in names}
    return [
        None,
        True,
        chance.choice([0, 1, 2, 3]),
        chance.choice([1.0, 1.5, 2.5]),
        chance.choice("ab"),
        "abc",
    ][kind]


@pytest.mark.parametrize("schema", SCHEMAS, ids=str)
def test_the_verdict_is_that_of_a_full_implementation(schema):
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    full = jsonschema.Draft7Validator(schema)
    for _ in range(400):
        value = some_value(chance)
        assert (problems_of(schema, value) == []) == full.is_valid(value), value


def test_problems_have_their_place():
    schema = {"properties": {"items": {"items": {"required": ["sku"], "properties": {"n": {"minimum": 1}}}}}}
    assert problems_of(schema, {"items": [{"sku": 1, "n": 0}, {}]}) == [
        "items[0].n must be at least 1",
        "items[1].sku is missing",
    ]
    assert problems_of({"type": "object"}, 1) == ["the context must be of type object"]
