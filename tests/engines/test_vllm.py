"""What the contract does not cover of vLLM: adapters, seeds, prefixes, death of the core and of the parent."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from synthkit.core.engine import Completion, Constraint, Role
from synthkit.core.errors import EngineDead, EngineError, RequestRefused, TransportError
from synthkit.engines.vllm import VllmEngine
from synthkit.engines.vllm_config import VllmConfig
from synthkit.testing.engine_contract import Running

pytestmark = pytest.mark.vllm

PARENT = """
import asyncio, sys
from synthkit.core.engine import Message, Request, Role
from synthkit.engines.vllm_config import VllmConfig

async def main():
    engine = VllmConfig(vllm=sys.argv[1]).build({})
    await engine.start()
    request = Request((Message("user", "x"),), Role(engine="it", max_tokens=900, extra={"ignore_eos": True}), "writer")
    print("ready", flush=True)
    if sys.argv[2] == "close":
        await engine.complete(request)
        await engine.close()
        return
    await asyncio.gather(*(engine.complete(request) for _ in range(64)))
    await asyncio.sleep(60)

if __name__ == "__main__":
    asyncio.run(main())
"""

LOADING = """
import asyncio, sys
from synthkit.engines.vllm_config import VllmConfig

async def main():
    engine = VllmConfig(vllm=sys.argv[1], replicas=2).build({})
    try:
        print("loading", flush=True)
        await engine.start()
        print("started", flush=True)
    finally:
        await engine.close()

if __name__ == "__main__":
    try:
        asyncio.run(main())
    except KeyboardInterrupt:
        print("interrupted", flush=True)
"""


@pytest.fixture(scope="module")
def running(tiny: Path) -> Iterator[Running]:
    from tests.engines.tiny import tiny_lora

    config = VllmConfig(
        vllm=str(tiny),
        loras={"river": str(tiny_lora(tiny))},
        structured="xgrammar",
        args={"max_model_len": "1Ki", "max_num_batched_tokens": 1024, "kv_cache_memory_bytes": "8Mi"},
    )
    engine = config.build({"writer": Role(engine="it", lora="river")})
    with asyncio.Runner() as runner:
        runner.run(engine.start())
        yield Running(config, engine, runner)
        runner.run(engine.close())


def cores(pid: int) -> list[int]:
    """Engine core processes below `pid`."""
    listed = subprocess.run(["ps", "-eo", "pid=,ppid=,args="], capture_output=True, text=True, check=True).stdout
    rows = [line.split(maxsplit=2) for line in listed.splitlines()]
    return [int(row[0]) for row in rows if int(row[1]) == pid and "EngineCore" in row[2]]


def test_arguments_reach_vllm(running: Running) -> None:
    with pytest.raises(RequestRefused, match=r"takes 1024 with the reply"):
        running.run(running.engine.complete(request("word " * 1200)))


def test_an_adapter_changes_the_reply(running: Running) -> None:
    plain, adapted = (
        running.ask(request("bridge", role={"temperature": 0, "lora": lora})).samples[0].text
        for lora in (None, "river")
    )
    assert plain != adapted


def test_a_seeded_reply_is_the_same_alone_and_in_a_crowd(running: Running) -> None:
    alone = running.ask(request("the river", seed=4, n=2, role={"max_tokens": 40}))

    async def crowd() -> Completion:
        # Prompts of 100 to 400 tokens do not fit one step of the scheduler: unguarded, that kills vLLM 0.32 on a CPU.
        others = [request(f"{i} " * (50 + i), seed=i, role={"max_tokens": 40}) for i in range(150)]
        work = [running.engine.complete(each) for each in others]
        *_, last = await asyncio.gather(
            *work, running.engine.complete(request("the river", seed=4, n=2, role={"max_tokens": 40}))
        )
        return last

    assert running.run(crowd()).samples == alone.samples


def test_a_shared_prefix_is_cached(running: Running) -> None:
    text = "the river and the bridge was opened in the year " * 12
    running.ask(request(text + "one"))
    usage = running.ask(request(text + "two")).usage
    assert usage.cached >= 64
    assert usage.cached % 32 == 0


def test_a_label_of_several_tokens_says_which(running: Running) -> None:
    with pytest.raises(RequestRefused, match=r"label 'zebra' is 5 tokens.*'z', 'e', 'b', 'r', 'a'") as caught:
        running.ask(request(labels=("yes", "zebra")))
    assert caught.value.reason == "label"


def test_labels_are_raw_probabilities_of_the_next_token(running: Running) -> None:
    import math

    (sample,) = running.ask(request(labels=("yes", "no"))).samples
    assert sample.label_logprobs is not None
    assert sum(math.exp(value) for value in sample.label_logprobs.values()) < 0.99


@pytest.mark.parametrize(
    ("role", "constraint"),
    [
        ({}, Constraint("json", {"type": "nonsense"})),
        ({}, Constraint("regex", "(((")),
        ({"extra": {"no_such_parameter": 1}}, None),
    ],
)
def test_an_impossible_request_is_refused_and_the_engine_lives(running: Running, role: Any, constraint: Any) -> None:
    with pytest.raises(RequestRefused):
        running.ask(request(role=role, constraint=constraint))
    assert running.ask(request()).samples


def test_thinking_is_switched_by_the_template(running: Running) -> None:
    on, off = (running.ask(request(role={"thinking": thinking})).usage.prompt for thinking in (True, False))
    assert off > on


def test_sooner_priorities_overtake(running: Running) -> None:
    async def overtake() -> float:
        slow = [
            asyncio.create_task(running.engine.complete(request(str(i), priority=9, role={"max_tokens": 200})))
            for i in range(300)
        ]
        await asyncio.sleep(0.2)
        await running.engine.complete(request("now", priority=0, role={"max_tokens": 1}))
        waiting = sum(not task.done() for task in slow)
        await asyncio.gather(*slow)
        return waiting / 300

    assert running.run(overtake()) > 0.2


async def test_an_unknown_adapter_is_said_at_the_start(tiny: Path) -> None:
    engine = VllmConfig(vllm=str(tiny)).build({"writer": Role(engine="it", lora="none")})
    with pytest.raises(EngineError, match=r"models\.writer: no adapter 'none'"):
        await engine.start()
    await engine.close()


async def test_a_core_ignores_ctrl_c_and_its_death_is_engine_dead(tiny: Path) -> None:
    engine = VllmConfig(vllm=str(tiny)).build({})
    assert isinstance(engine, VllmEngine)
    others = set(cores(os.getpid()))
    await engine.start()
    (core,) = set(cores(os.getpid())) - others
    os.kill(core, signal.SIGINT)  # as a terminal does on Ctrl-C
    assert (await engine.complete(request())).samples
    long = {"max_tokens": 900, "extra": {"ignore_eos": True}}
    work = [asyncio.create_task(engine.complete(request(str(i), role=long))) for i in range(16)]
    await asyncio.sleep(0.3)
    os.kill(core, signal.SIGKILL)
    done = await asyncio.wait_for(asyncio.gather(*work, return_exceptions=True), 30)
    assert {type(each) for each in done} == {EngineDead}
    with pytest.raises(EngineDead):
        await engine.complete(request())
    await engine.close()
    assert set(cores(os.getpid())) == others


@pytest.mark.parametrize("after", [0.0, 0.7])
def test_the_core_dies_with_a_killed_parent(tiny: Path, tmp_path: Path, after: float) -> None:
    script = tmp_path / "parent.py"
    script.write_text(PARENT)
    with subprocess.Popen([sys.executable, script, tiny, "wait"], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == "ready\n"
        found = cores(parent.pid)
        assert len(found) == 1
        time.sleep(after)
        parent.send_signal(signal.SIGKILL)
    until = time.monotonic() + 5
    while time.monotonic() < until and Path(f"/proc/{found[0]}").exists():
        time.sleep(0.1)
    assert not Path(f"/proc/{found[0]}").exists()


@pytest.mark.parametrize("seen", [0, 2])
def test_ctrl_c_stops_a_load_and_leaves_no_core(tiny: Path, tmp_path: Path, seen: int) -> None:
    script = tmp_path / "loading.py"
    script.write_text(LOADING)
    with subprocess.Popen(
        [sys.executable, script, tiny], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == "loading\n"
        time.sleep(1)
        born: set[int] = set()
        while len(born) < seen and parent.poll() is None:
            born |= set(cores(parent.pid))
            time.sleep(0.05)
        parent.send_signal(signal.SIGINT)
        out, err = parent.communicate(timeout=60)
    assert (out, err) == ("interrupted\n", "")
    assert not [core for core in born if Path(f"/proc/{core}").exists()]


async def test_replicas_share_the_work_and_outlive_a_core(tiny: Path, caplog: pytest.LogCaptureFixture) -> None:
    engine = VllmConfig(vllm=str(tiny), replicas=2).build({})
    assert isinstance(engine, VllmEngine)
    others = set(cores(os.getpid()))
    await engine.start()
    mine = set(cores(os.getpid())) - others
    assert len(mine) == 2
    assert engine.window == 2 * 128 * 5 // 4
    with pytest.raises(TransportError, match=r"by itself \(error\)"):  # its lexer is too large for guidance
        await engine.complete(request(constraint=Constraint("regex", "(a{1000}){1000}")))

    async def crowd() -> list[Completion]:
        work = asyncio.gather(*(engine.complete(request(f"{i} rivers")) for i in range(32)))
        return await asyncio.wait_for(work, 60)

    await crowd()
    os.kill(mine.pop(), signal.SIGKILL)
    done = await crowd()
    assert all(each.samples for each in done)
    assert engine.window == 128 * 5 // 4
    assert [each.message for each in caplog.records if each.name == "synthkit.engines.vllm"] == [
        f"an engine core of '{tiny}' died; 1 of 2 are left and take its requests"
    ]
    await engine.close()
    assert set(cores(os.getpid())) == others


def test_closing_is_quiet_and_fast(tiny: Path, tmp_path: Path) -> None:
    script = tmp_path / "parent.py"
    script.write_text(PARENT)
    ran = subprocess.run([sys.executable, script, tiny, "close"], capture_output=True, text=True, check=True)
    assert ran.stderr == ""
    assert ran.stdout == "ready\n"


def request(text: str = "Name a bridge.", **fields: Any) -> Any:
    from synthkit.core.engine import Message, Request

    role = Role(engine="it", **({"max_tokens": 16} | fields.pop("role", {})))
    return Request(messages=(Message("user", text),), role=role, model="writer", **fields)
