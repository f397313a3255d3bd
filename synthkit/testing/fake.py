"""Fake replies: values that satisfy a JSON Schema, a regex or a choice, drawn from a seeded generator.

Covers what `out:` types and tool schemas produce: `$ref`, enums, constants, unions, closed objects, maps, tuples,
patterns, string, list and number bounds, dates. Values stay short (a list takes its least number of items and up to
two more), so a fake run costs little. It does not satisfy `not`, `if` or `dependentSchemas`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from hashlib import blake2b
from random import Random
from typing import Any

from synthkit.core.engine import Constraint
from synthkit.testing.patterns import matching

_TEXT = (
    "river bridge census harbour museum treaty station valley market library granite observatory ferry canal mill "
    "archive council railway lighthouse garden theatre quarry college border island founder river's opened moved "
    "measured recorded rebuilt grew closed joined supplied crossed"
)
_WORDS = _TEXT.split()
_SPARE_ITEMS = 2
_DEPTH = 6
"""Beyond it a recursive schema takes its shortest way out."""


def word_vector(text: str, size: int = 64) -> list[float]:
    """A vector that is near those of texts with the same words, whatever their order: a signed sum of hashes.

    Of two texts the cosine is about that of their counts of words; 64 numbers are good for a deviation of 0.12.
    """
    numbers = [0.0] * size
    for word in text.casefold().split() or [""]:
        bits = int.from_bytes(blake2b(word.encode(), digest_size=size // 8).digest(), "big")
        numbers = [number + (1.0 if bits >> at & 1 else -1.0) for at, number in enumerate(numbers)]
    length = math.hypot(*numbers) or 1.0
    return [number / length for number in numbers]


def reply_text(constraint: Constraint | None, random: Random) -> str:
    """The text of one fake reply."""
    import orjson

    if constraint is None:
        return sentence(random, 30, 120)
    if constraint.kind == "json":
        return orjson.dumps(value_of(constraint.value, random)).decode()
    if constraint.kind == "choice":
        return str(random.choice(list(constraint.value)))
    if constraint.kind == "regex":
        return matching(constraint.value, random, whole=True)
    raise ValueError("fake replies cannot be drawn from a grammar; give the scripted engine a function")


def sentence(random: Random, least: int, most: int) -> str:
    """Words of `least` to `most` characters in all."""
    if most <= 0:
        return ""
    words = [random.choice(_WORDS)]
    while len(" ".join(words)) < least:
        words.append(random.choice(_WORDS))
    return " ".join(words)[:most].rstrip().ljust(min(least, most), ".")


def value_of(schema: Any, random: Random) -> Any:
    """A value that `schema` accepts."""
    return _value(schema, random, schema, 0)


def _value(schema: Any, random: Random, root: Any, depth: int) -> Any:
    if not isinstance(schema, Mapping):
        return None
    if "$ref" in schema:
        return _value({**_resolve(schema["$ref"], root), **_without(schema, "$ref")}, random, root, depth + 1)
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return random.choice(list(schema["enum"]))
    for key in ("anyOf", "oneOf"):
        if key in schema:
            options: Sequence[Any] = schema[key]
            option = options[-1] if depth > _DEPTH else random.choice(options)
            return _value(_merge(_without(schema, key), _follow(option, root)), random, root, depth + 1)
    if "allOf" in schema:
        merged = _without(schema, "allOf")
        for part in schema["allOf"]:
            merged = _merge(merged, _follow(part, root))
        return _value(merged, random, root, depth + 1)
    return _typed(_type(schema, random), schema, random, root, depth)


def _typed(kind: str, schema: Mapping[str, Any], random: Random, root: Any, depth: int) -> Any:
    """A value of one JSON type within the schema's bounds."""
    if kind == "object":
        return _object(schema, random, root, depth)
    if kind == "array":
        return _array(schema, random, root, depth)
    if kind == "string":
        return _string(schema, random)
    if kind in ("integer", "number"):
        return _number(schema, random, whole=kind == "integer")
    return random.random() < 0.5 if kind == "boolean" else None


def _type(schema: Mapping[str, Any], random: Random) -> str:
    """The schema's type; inferred from its keywords where it is not said."""
    declared = schema.get("type")
    if isinstance(declared, list):
        return str(random.choice(declared))
    if declared:
        return str(declared)
    if "properties" in schema or "additionalProperties" in schema:
        return "object"
    if "items" in schema or "prefixItems" in schema:
        return "array"
    if any(key in schema for key in ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum")):
        return "number"
    return "string"


def _object(schema: Mapping[str, Any], random: Random, root: Any, depth: int) -> dict[str, Any]:
    properties: Mapping[str, Any] = schema.get("properties", {})
    required = schema.get("required", [])
    made = {
        name: _value(inner, random, root, depth + 1)
        for name, inner in properties.items()
        if name in required or (depth <= _DEPTH and random.random() < 0.5)
    }
    made |= {name: sentence(random, 4, 20) for name in required if name not in properties}
    extra = schema.get("additionalProperties")
    least = schema.get("minProperties", 1 if isinstance(extra, Mapping) and not properties else 0)
    while len(made) < least:
        names = schema.get("propertyNames")
        name = str(_value(names, random, root, depth + 1)) if names else f"{random.choice(_WORDS)}_{len(made) + 1}"
        made[name] = _value(extra if isinstance(extra, Mapping) else {}, random, root, depth + 1)
    return made


def _array(schema: Mapping[str, Any], random: Random, root: Any, depth: int) -> list[Any]:
    first: Sequence[Any] = schema.get("prefixItems", ())
    least = max(int(schema.get("minItems", 0)), len(first))
    most = min(int(schema.get("maxItems", least + _SPARE_ITEMS)), least + _SPARE_ITEMS)
    if schema.get("items") is False:
        most = len(first)
    count = least if depth > _DEPTH else max(least, random.randint(min(max(least, 1), most), most))
    made: list[Any] = []
    for index in range(count):
        inner = first[index] if index < len(first) else schema.get("items", {})
        item = _value(inner, random, root, depth + 1)
        if schema.get("uniqueItems"):
            tries = 0
            while item in made and tries < 50:
                item, tries = _value(inner, random, root, depth + 1), tries + 1
            if item in made and index >= least:
                continue
        made.append(item)
    return made


def _string(schema: Mapping[str, Any], random: Random) -> str:
    least = int(schema.get("minLength", 0))
    most = schema.get("maxLength")
    if schema.get("format") == "date":
        return f"{random.randint(1800, 2030)}-{random.randint(1, 12):02}-{random.randint(1, 28):02}"
    if "pattern" in schema:
        words = sentence(random, max(least, 8), int(most) if most is not None else max(least, 8) + 20)
        from re import search

        # A pattern that merely keeps control characters out is met by words; that reads better in a test's output.
        if search(schema["pattern"], words) and len(words) >= least:
            return words
        return matching(schema["pattern"], random, least, most)
    low = max(least, 4)
    return sentence(random, low, min(int(most), low + 24) if most is not None else low + 24)


def _number(schema: Mapping[str, Any], random: Random, *, whole: bool) -> int | float:
    step = schema.get("multipleOf", 1 if whole else None)
    low, high = schema.get("minimum"), schema.get("maximum")
    if "exclusiveMinimum" in schema:
        past = schema["exclusiveMinimum"]
        past = past + 1e-6 if step is None else (math.floor(past / step) + 1) * step
        low = past if low is None else max(low, past)
    if "exclusiveMaximum" in schema:
        short = schema["exclusiveMaximum"]
        short = short - 1e-6 if step is None else (math.ceil(short / step) - 1) * step
        high = short if high is None else min(high, short)
    if low is None:
        low = 0 if high is None else high - 100
    if high is None:
        high = low + 100
    if step is None:
        return round(low + (high - low) * random.random(), 6) if high - low > 1e-5 else low
    drawn = random.randint(math.ceil(low / step), math.floor(high / step)) * step
    return int(drawn) if whole else drawn


def _resolve(reference: str, root: Any) -> Mapping[str, Any]:
    """The schema a local `$ref` points to."""
    found = root
    for part in reference.removeprefix("#").strip("/").split("/") if reference != "#" else ():
        found = found[part.replace("~1", "/").replace("~0", "~")]
    return found if isinstance(found, Mapping) else {}


def _follow(schema: Any, root: Any) -> Mapping[str, Any]:
    """The schema itself, or what its reference points to."""
    if not isinstance(schema, Mapping):
        return {}
    return _follow(_resolve(schema["$ref"], root), root) if "$ref" in schema else schema


def _without(schema: Mapping[str, Any], key: str) -> dict[str, Any]:
    return {name: value for name, value in schema.items() if name not in (key, "$defs")}


def _merge(left: Mapping[str, Any], right: Mapping[str, Any]) -> dict[str, Any]:
    """Both schemas at once; properties and required names are united, other keywords of `right` win."""
    merged = {**left, **right}
    if "properties" in left and "properties" in right:
        merged["properties"] = {**left["properties"], **right["properties"]}
    if "required" in left and "required" in right:
        merged["required"] = [*left["required"], *(n for n in right["required"] if n not in left["required"])]
    return merged
