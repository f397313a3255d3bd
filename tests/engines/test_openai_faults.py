"""A server that fails in every way: one fault is never more than one row, and a healthy row is never lost."""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from synthkit.core.engine import Completion, Constraint, Request
from synthkit.core.errors import EngineDead, EngineError, RequestRefused, TransportError
from synthkit.engines import openai
from synthkit.engines.openai import OpenAIEngine
from synthkit.engines.openai_config import OpenAIConfig
from synthkit.testing.server import FAULTS, Fault, FaultServer

SCHEMA = {
    "type": "object",
    "properties": {"a": {"type": "string"}, "b": {"type": "integer", "minimum": 1, "maximum": 9}},
    "required": ["a", "b"],
    "additionalProperties": False,
}


@pytest.fixture(autouse=True)
def _no_long_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openai, "_FIRST_PAUSE", 0.01)
    monkeypatch.setattr("synthkit.engines.servers._LONGEST_REST", 0.1)


@asynccontextmanager
async def started(*urls: str, **fields: Any) -> AsyncIterator[OpenAIEngine]:
    engine = OpenAIConfig(openai="scripted", urls=urls, **({"timeout": 1.0} | fields)).build({})
    assert isinstance(engine, OpenAIEngine)
    await engine.start()
    try:
        yield engine
    finally:
        await engine.close()


async def gather(engine: OpenAIEngine, requests: list[Request]) -> list[Any]:
    return await asyncio.gather(*(engine.complete(request) for request in requests), return_exceptions=True)


def texts(done: list[Completion]) -> list[list[str]]:
    return [[sample.text for sample in completion.samples] for completion in done]


async def test_all_faults_at_once_lose_nothing_and_change_nothing(ask: Any) -> None:
    requests = [ask(f"row {i}", seed=i, n=1 + i % 3, constraint=Constraint("json", SCHEMA)) for i in range(200)]
    async with FaultServer() as healthy, started(healthy.url) as engine:
        expected = await gather(engine, requests)
    server = FaultServer(rate=0.4, seed=1, hang=5.0)
    async with server, started(server.url, retries=20, timeout=0.3) as engine:
        done = await gather(engine, requests)
        assert engine.load().running == engine.load().waiting == 0
    assert texts(done) == texts(expected)
    assert set(FAULTS) < set(server.counts), "every kind of fault took place"
    assert server.counts["ok"] + server.counts["blank"] >= 200


@pytest.mark.parametrize("fault", FAULTS)
async def test_each_fault_alone_heals(ask: Any, fault: Fault) -> None:
    requests = [ask(f"row {i}", seed=i) for i in range(40)]
    server = FaultServer(rate=0.3, faults=[fault], seed=2, hang=5.0)
    # Only what hangs needs a short limit; others would be asked twice where the machine itself stalls.
    timeout = 0.3 if fault in ("hang", "slow") else 60.0
    async with server, started(server.url, timeout=timeout, retries=20) as engine:
        done = await gather(engine, requests)
    assert [type(each) for each in done] == [Completion] * 40
    assert server.counts[fault] > 0
    assert server.counts["ok"] - server.counts["slow"] <= 40


async def test_a_row_that_always_fails_is_pending_and_the_only_one(ask: Any) -> None:
    def reply(request: Request) -> str:
        if "cursed" in request.messages[-1].content:
            raise ValueError("a bug of the server, for this row only")
        return "well"

    requests = [ask("cursed" if i == 7 else f"row {i}", seed=i) for i in range(40)]
    logging.getLogger("aiohttp.server").setLevel(logging.CRITICAL)
    async with FaultServer(reply=reply) as server, started(server.url, retries=2) as engine:
        done = await gather(engine, requests)
    failed = [index for index, each in enumerate(done) if not isinstance(each, Completion)]
    assert failed == [7]
    assert isinstance(done[7], TransportError)
    assert "3 tries failed" in str(done[7])


async def test_a_dead_server_is_left_out_while_another_serves(ask: Any) -> None:
    async with FaultServer() as alive, FaultServer() as dying, started(alive.url, dying.url, retries=10) as engine:
        await gather(engine, [ask(f"before {i}", seed=i) for i in range(40)])
        assert dying.counts["ok"] > 0
        await dying.stop()
        done = await gather(engine, [ask(f"after {i}", seed=i) for i in range(200)])
        assert [type(each) for each in done] == [Completion] * 200
        tried = dying.counts.total()
        assert next(s for s in engine.servers.all if s.url == dying.url).faults >= 5
    assert dying.counts.total() == tried


async def test_a_server_that_comes_back_is_used_again(ask: Any) -> None:
    async with FaultServer() as server, started(server.url, retries=50) as engine:
        port = int(server.url.split(":")[2].split("/")[0])
        await server.stop()
        work = asyncio.create_task(gather(engine, [ask(f"row {i}", seed=i) for i in range(40)]))
        await asyncio.sleep(0.3)
        await server.start(port)
        assert [type(each) for each in await work] == [Completion] * 40


async def test_all_servers_dead_for_long_is_the_end(ask: Any) -> None:
    async with FaultServer() as server, started(server.url, retries=500, patience=0.3) as engine:
        await server.stop()
        done = await gather(engine, [ask(f"row {i}", seed=i) for i in range(40)])
    assert {type(each) for each in done} == {EngineDead}
    assert "start the server" in str(done[0])


async def test_a_pause_between_faults_is_no_silence(ask: Any) -> None:
    async with FaultServer() as server, started(server.url, retries=1, patience=0.2) as engine:
        await engine.complete(ask())
        await asyncio.sleep(0.4)
        await server.stop()
        with pytest.raises(TransportError):
            await engine.complete(ask())


async def test_nobody_at_home_is_said_at_the_start() -> None:
    with pytest.raises(EngineError, match=r"no server can be used \(http://127\.0\.0\.1:9/v1: .*start it, or mend"):
        async with started("http://127.0.0.1:9"):
            pass


async def test_a_wrong_key_is_said_at_the_start_and_never_shown(monkeypatch: pytest.MonkeyPatch, ask: Any) -> None:
    monkeypatch.setenv("SYNTHKIT_TEST_KEY", "sk-wrong")
    async with FaultServer(key="sk-right") as server:
        with pytest.raises(EngineError, match="key was not accepted") as caught:
            async with started(server.url, key="${env.SYNTHKIT_TEST_KEY}"):
                pass
        assert "sk-wrong" not in str(caught.value)
        monkeypatch.setenv("SYNTHKIT_TEST_KEY", "sk-right")
        async with started(server.url, key="${env.SYNTHKIT_TEST_KEY}") as engine:
            assert len((await engine.complete(ask())).samples) == 1


async def test_a_model_that_is_not_served_stops_the_run(ask: Any) -> None:
    async with FaultServer(model="other") as server, started(server.url) as engine:
        done = await gather(engine, [ask(f"row {i}") for i in range(4)])
    assert {type(each) for each in done} == {EngineDead}
    assert "does not serve 'scripted'" in str(done[0])


async def test_too_many_at_once_are_asked_again_and_fewer(ask: Any) -> None:
    async with FaultServer(latency=0.01, refuse_above=20, retry_after="0.02") as server, started(server.url) as engine:
        done = await gather(engine, [ask(f"row {i}", seed=i) for i in range(1500)])
        assert [type(each) for each in done] == [Completion] * 1500
        assert engine.servers.all[0].limit.value <= 24
    assert server.counts["refused"] <= 150


async def test_the_limit_grows_to_what_the_server_takes(ask: Any) -> None:
    # a timeout that no stall of the machine reaches: what times out is asked again, and counted twice
    async with FaultServer(latency=0.1, slots=64) as server, started(server.url, timeout=60) as engine:
        before = engine.window
        await gather(engine, [ask(f"row {i}", seed=i) for i in range(1200)])
        assert 58 <= engine.servers.all[0].limit.value <= 160
        assert engine.window > before
    assert server.counts["ok"] == 1200


async def test_a_server_without_response_format_is_only_parsed(ask: Any) -> None:
    server = FaultServer()
    refuse = server._refuse

    def picky(http: Any, body: Any) -> Any:
        from synthkit.testing.server import _error

        return _error(400, "response_format is not supported") if "response_format" in body else refuse(http, body)

    server._refuse = picky  # type: ignore[method-assign]
    async with server, started(server.url) as engine:
        assert (await engine.complete(ask(constraint=Constraint("json", SCHEMA)))).samples[0].text
        await engine.complete(ask(constraint=Constraint("json", SCHEMA)))
    assert server.counts["400"] == 1
    async with server, started(server.url, structured="response_format") as engine:
        with pytest.raises(RequestRefused, match="not supported"):
            await engine.complete(ask(constraint=Constraint("json", SCHEMA)))


async def test_samples_asked_one_by_one_are_reproducible_and_differ(ask: Any) -> None:
    async with FaultServer(native_n=False) as server, started(server.url) as engine:
        first, second = [await engine.complete(ask(n=4, seed=9, role={"temperature": 1})) for _ in range(2)]
    assert texts([first]) == texts([second])
    assert len({sample.text for sample in first.samples}) == 4
    assert server.counts["400"] == 1


async def test_samples_asked_one_by_one_survive_the_failure_of_one(ask: Any) -> None:
    calls = itertools.count()

    def reply(request: Request) -> str:
        if (number := next(calls)) == 5:
            raise ValueError("a bug of the server, this once")
        return f"sample {number}"

    logging.getLogger("aiohttp.server").setLevel(logging.CRITICAL)
    async with FaultServer(reply=reply, native_n=False) as server, started(server.url, retries=0) as engine:
        completion = await engine.complete(ask(n=8, role={"temperature": 1}))
    assert len({sample.text for sample in completion.samples}) == 7
    assert isinstance(completion.failure, TransportError)


async def test_lower_priority_numbers_go_first(ask: Any) -> None:
    order: list[str] = []

    def reply(request: Request) -> str:
        order.append(request.messages[-1].content)
        return "x"

    server = FaultServer(latency=0.01, slots=1, reply=reply)
    async with server, started(server.url, max_concurrency=1) as engine:
        await gather(engine, [ask(str(9 - i), priority=9 - i) for i in range(10)])
    assert order[1:] == [str(i) for i in range(9)]


async def test_cancelled_while_waiting_leaves_the_queue(ask: Any) -> None:
    async with FaultServer(latency=0.05) as server, started(server.url, max_concurrency=1) as engine:
        work = [asyncio.create_task(engine.complete(ask(str(i)))) for i in range(10)]
        await asyncio.sleep(0.02)
        for task in work[1:]:
            task.cancel()
        done = await asyncio.gather(*work, return_exceptions=True)
        assert isinstance(done[0], Completion)
        assert engine.load().running == engine.load().waiting == 0
    assert server.counts["ok"] == 1


async def test_closing_fails_what_waits(ask: Any) -> None:
    async with FaultServer(latency=0.2) as server, started(server.url, max_concurrency=1) as engine:
        work = [asyncio.create_task(engine.complete(ask(str(i)))) for i in range(3)]
        await asyncio.sleep(0.02)
        await engine.close()
        done = await asyncio.gather(*work, return_exceptions=True)
    assert all(isinstance(each, EngineError) for each in done)
