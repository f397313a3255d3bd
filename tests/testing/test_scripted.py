"""The scripted engine, its fake replies, recordings and the public names."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

import synthkit.testing
from synthkit.core.engine import Constraint, Message, Request, Role
from synthkit.core.errors import EngineDead, EngineError, RequestRefused, TransportError
from synthkit.testing import Recorder, ReplayConfig, ScriptedConfig, ScriptedEngine, read_log, request_key
from synthkit.testing.fake import value_of
from synthkit.testing.patterns import matching
from synthkit.testing.scripted import Faults

SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"], "additionalProperties": False}


def request(text: str = "x", **fields: Any) -> Request:
    role = Role(engine="it", **fields.pop("role", {}))
    return Request(messages=(Message("user", text),), role=role, model="writer", **fields)


async def fates(engine: ScriptedEngine, count: int = 400) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for number in range(count):
        try:
            (sample,) = (await engine.complete(request(str(number), constraint=Constraint("json", SCHEMA)))).samples
            fate = sample.finish if sample.text.endswith("}") or sample.finish == "length" else "malformed"
        except EngineError as error:
            fate = type(error).__name__
        found.setdefault(fate, []).append(number)
    return found


async def test_faults_come_every_kth_and_always_at_the_same_requests() -> None:
    config = ScriptedConfig(faults=Faults(truncated=10, malformed=10, refused=10, transport=10))
    first, second = [await fates(ScriptedEngine(config)) for _ in range(2)]
    assert first == second
    for fate in ("length", "malformed", "RequestRefused", "TransportError"):
        assert 20 <= len(first[fate]) <= 65
    assert config.identity() == ScriptedConfig().identity()


async def test_transport_heals_and_death_does_not() -> None:
    engine = ScriptedEngine(ScriptedConfig(faults=Faults(transport=1, heals=2)))
    for _ in range(2):
        with pytest.raises(TransportError):
            await engine.complete(request())
    await engine.complete(request())
    assert engine.asked[request_key(request())] == 3
    assert engine.answered[request_key(request())] == 1
    engine = ScriptedEngine(ScriptedConfig(faults=Faults(dead=50)))
    assert set(await fates(engine)) == {"stop", "EngineDead"}
    with pytest.raises(EngineDead):
        await engine.complete(request("anything"))


async def test_calls_are_logged_across_processes(tmp_path: Path) -> None:
    log = tmp_path / "calls.jsonl"
    for _ in range(2):
        engine = ScriptedEngine(ScriptedConfig(log=log))
        await asyncio.gather(*(engine.complete(request(str(number), n=2)) for number in range(10)))
    assert set(read_log(log).values()) == {2}
    assert len(read_log(log)) == 10
    assert request_key(request(n=1)) == request_key(request(n=3)) != request_key(request(seed=1))


def script(asked: Request) -> list[str]:
    return [f"{asked.messages[-1].content} {index}" for index in range(asked.n)]


async def test_functions_are_found_by_module_and_by_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text("def reply(request):\n    return 'from a file'\n")
    for name, expected in ((f"{path}:reply", "from a file"), ("os.path:basename", None)):
        engine = ScriptedConfig(scripted=name).build({})
        await engine.start()
        if expected:
            assert (await engine.complete(request(n=2))).samples[1].text == expected
    engine = ScriptedEngine(function=script)  # type: ignore[arg-type]
    assert [sample.text for sample in (await engine.complete(request("hi", n=2))).samples] == ["hi 0", "hi 1"]
    with pytest.raises(EngineError, match="write `auto`, `module:function`"):
        await ScriptedConfig(scripted="nowhere:reply").build({}).start()


async def test_slots_are_busy_for_the_latency_and_lower_priorities_go_first() -> None:
    engine = ScriptedEngine(ScriptedConfig(slots=4, latency=0.02))
    order: list[int] = []

    async def one(priority: int) -> None:
        await engine.complete(request(str(priority), priority=priority, n=2))
        order.append(priority)

    work = [asyncio.create_task(one(priority)) for priority in (5, 6, 3, 2, 1)]
    await asyncio.sleep(0)
    assert engine.load().running == 4
    assert engine.load().waiting == 6
    await asyncio.gather(*work)
    assert order == [5, 6, 1, 2, 3]
    assert engine.load().running == 0


async def test_max_tokens_and_the_context_are_limits() -> None:
    engine = ScriptedEngine(ScriptedConfig(context=10))
    (sample,) = (await engine.complete(request(role={"max_tokens": 2}))).samples
    assert (len(sample.text), sample.finish) == (8, "length")
    with pytest.raises(RequestRefused) as caught:
        await engine.complete(request("word " * 20))
    assert caught.value.reason == "too long"


@pytest.mark.parametrize(
    "schema",
    [
        SCHEMA,
        {"enum": ["a", 1, None]},
        {"const": 3},
        {"type": ["string", "null"], "maxLength": 5},
        {"type": "string", "minLength": 300, "maxLength": 300},
        {"type": "string", "pattern": "^[ !#-\\[\\]-~]{20,400}$", "minLength": 20, "maxLength": 400},
        {"type": "string", "pattern": "^[0-9]{4}(-[0-9]{2}(-[0-9]{2})?)?$"},
        {"type": "string", "format": "date"},
        {"type": "integer", "minimum": 3, "maximum": 3},
        {"type": "integer", "exclusiveMinimum": 3, "maximum": 5, "multipleOf": 5},
        {"type": "number", "minimum": 0.25, "maximum": 0.5},
        {"type": "array", "items": {"type": "integer"}, "minItems": 3, "maxItems": 3},
        {"type": "array", "items": {"enum": [1, 2, 3]}, "uniqueItems": True, "minItems": 3, "maxItems": 3},
        {"type": "array", "prefixItems": [{"const": 1}, {"type": "string"}], "items": False, "minItems": 2},
        {"type": "object", "additionalProperties": {"type": "integer"}, "minProperties": 2},
        {"anyOf": [{"type": "null"}, {"type": "object", "properties": {"b": {"type": "boolean"}}, "required": ["b"]}]},
        {"allOf": [{"$ref": "#/$defs/a"}, {"properties": {"c": {"const": 1}}, "required": ["c"]}],
         "$defs": {"a": {"type": "object", "properties": {"b": {"type": "string"}}, "required": ["b"]}}},
        {"$ref": "#/$defs/tree",
         "$defs": {"tree": {"type": "object", "required": ["next"], "additionalProperties": False,
                            "properties": {"next": {"anyOf": [{"$ref": "#/$defs/tree"}, {"type": "null"}]}}}}},
    ],
)  # fmt: skip
def test_fake_values_satisfy_their_schema(schema: dict[str, Any]) -> None:
    for number in range(50):
        Draft202012Validator(schema).validate(value_of(schema, Random(number)))


@given(
    st.integers(0, 60), st.integers(0, 200), st.integers(0, 2**32),
    st.sampled_from(["[a-z]{%d,%d}", "^[ -~]{%d,%d}$", "x(?:ab|c){%d,%d}", "(a|b)\\1[^a-z]{%d,%d}", "\\w\\d{%d,%d}"]),
)  # fmt: skip
@settings(max_examples=100, deadline=None)
def test_fake_strings_match_their_pattern(low: int, more: int, number: int, form: str) -> None:
    pattern = form % (low, low + more)
    assert re.fullmatch(pattern, matching(pattern, Random(number), whole=True))


def test_what_cannot_be_drawn_is_said() -> None:
    with pytest.raises(ValueError, match="no string of 5 to 6 characters"):
        matching("^a{9}$", Random(0), 5, 6)


async def test_a_recording_replays_by_content(tmp_path: Path) -> None:
    path = tmp_path / "recorded.jsonl"
    recorder = Recorder(ScriptedEngine(), path)
    asked = [request("a", n=3, seed=1), request("b", labels=("yes", "no")), request("c", seed=1), request("c", seed=2)]
    await recorder.start()
    answers = [(await recorder.complete(each)).samples for each in asked]
    await recorder.close()
    engine = ReplayConfig(replay=str(path)).build({})
    with pytest.raises(EngineError, match="not started"):
        await engine.complete(asked[0])
    await engine.start()
    assert [(await engine.complete(each)).samples for each in asked] == answers
    assert (await engine.complete(request("a", n=2, seed=77))).samples == answers[0][:2]
    for missing in (request("d"), request("a", n=4, seed=1)):
        with pytest.raises(RequestRefused) as caught:
            await engine.complete(missing)
        assert caught.value.reason == "not recorded"
    lenient = ReplayConfig(replay=str(path), miss="scripted").build({})
    await lenient.start()
    assert (await lenient.complete(request("d"))).samples == (await ScriptedEngine().complete(request("d"))).samples


async def test_the_completions_of_a_run_replay(tmp_path: Path) -> None:
    lance = pytest.importorskip("lance")
    import pyarrow as pa

    samples = [{"text": text, "finish": "stop", "reasoning": None, "label_logprobs": None} for text in ("1", "2")]
    labelled = [{"text": "yes", "finish": "stop", "reasoning": None, "label_logprobs": '{"yes": -0.1, "no": -2.5}'}]
    plain, judged = request("a"), request("b", labels=("yes", "no"))
    identity = {"scripted": "auto"}
    rows = [
        {"request": plain.digest(identity), "first": 1, "samples": samples[1:], "kind": "ask"},
        {"request": plain.digest(identity), "first": 0, "samples": samples[:1], "kind": "ask"},
        {"request": judged.digest(identity), "first": 0, "samples": labelled, "kind": "ask"},
        {"request": "other", "first": 0, "samples": samples, "kind": "effect"},
    ]
    whole = [{"row": "r", "step": "s", "call": "main", "attempt": 0, **row} for row in rows]
    lance.write_dataset(pa.Table.from_pylist(whole), str(tmp_path / "completions.lance"))
    engine = ReplayConfig(replay=str(tmp_path), of={"scripted": "auto"}).build({})
    await engine.start()
    assert [sample.text for sample in (await engine.complete(request("a", n=2))).samples] == ["1", "2"]
    assert (await engine.complete(judged)).samples[0].label_logprobs == {"yes": -0.1, "no": -2.5}


def test_a_replay_stands_for_the_engine_that_was_recorded() -> None:
    config = ReplayConfig(replay="runs/x", of={"openai": "model", "urls": "http://host"})
    assert config.identity() == {"openai": "model"}
    assert "regex" not in config.capabilities()
    assert ReplayConfig(replay="runs/x").identity() == {"replay": "x"}
    with pytest.raises(EngineError, match="one of the keys openai, replay, scripted, vllm"):
        ReplayConfig(replay="runs/x", of={"model": "x"}).identity()


def test_the_digest_of_a_request_leaves_out_n_seed_and_places() -> None:
    base = request("a", constraint=Constraint("json", SCHEMA))
    same = request("a", n=3, seed=9, priority=4, constraint=Constraint("json", dict(SCHEMA)), role={"reask": 3})
    assert base.digest() == same.digest()
    others = [request("b"), request("a"), request("a", labels=("x",)), request("a", role={"temperature": 0.1})]
    assert len({base.digest(), *(each.digest() for each in others)}) == 5
    assert base.digest({"vllm": "m"}) != base.digest()


def test_public_names_are_there_and_the_package_is_light() -> None:
    for name in synthkit.testing.__all__:
        assert getattr(synthkit.testing, name).__doc__
    with pytest.raises(AttributeError, match="ScriptedEngine"):
        _ = synthkit.testing.nothing
    code = (
        "import sys, synthkit.testing, synthkit.testing.scripted, synthkit.testing.replay\n"
        "heavy = {'pytest', 'aiohttp', 'polars', 'pyarrow', 'numpy', 'jsonschema', 'lance'} & set(sys.modules)\n"
        "sys.exit(str(heavy) if heavy else 0)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
