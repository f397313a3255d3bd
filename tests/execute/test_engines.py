import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import cast

import pytest

from synthkit.core.engine import Engine, Request, Role
from synthkit.core.errors import EngineDead, EngineError
from synthkit.core.store import RunStore
from synthkit.execute.control import Control
from synthkit.execute.engines import EnginePool, Slots
from synthkit.execute.runtime import RunScope
from synthkit.plan.graph import Graph
from synthkit.testing.scripted import ScriptedConfig, ScriptedEngine


class Windowed(ScriptedEngine):
    size = 2

    @property
    def window(self) -> int:
        return self.size


async def test_the_lowest_priority_number_goes_first() -> None:
    slots = Slots(Windowed())
    order: list[int] = []

    async def hold(priority: int) -> None:
        await slots.acquire(priority)
        order.append(priority)
        await asyncio.sleep(0)
        slots.release()

    await asyncio.gather(*(hold(p) for p in (5, 4, 3, 2, 1)))
    assert order[:2] == [5, 4]  # the two free slots went to who came first
    assert order[2:] == [1, 2, 3]
    assert slots.busy == 0


async def test_a_cancelled_wait_gives_no_slot_away() -> None:
    engine = Windowed()
    engine.size = 1
    slots = Slots(engine)
    await slots.acquire(0)
    waiting = asyncio.create_task(slots.acquire(0))
    await asyncio.sleep(0)
    slots.release()  # hands the slot to the waiting task ...
    waiting.cancel()  # ... which is cancelled before it can use it
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert slots.busy == 0
    await asyncio.wait_for(slots.acquire(0), 1)


async def test_equal_configurations_share_one_engine() -> None:
    pool = EnginePool()
    one = pool.get("a", ScriptedConfig(), {})
    assert pool.get("b", ScriptedConfig(), {}) is one
    assert pool.get("c", ScriptedConfig(latency=1.0), {}) is not one


async def test_a_shared_engine_is_built_for_the_roles_of_all_specs(monkeypatch: pytest.MonkeyPatch) -> None:
    built: list[dict[str, Role]] = []
    build = ScriptedConfig.build

    def keep(self: ScriptedConfig, roles: Mapping[str, Role]) -> Engine:
        built.append(dict(roles))
        return build(self, roles)

    monkeypatch.setattr(ScriptedConfig, "build", keep)
    plain, thinking = Role(engine="a"), Role(engine="b", thinking=True)
    config = ScriptedConfig()
    below = Graph("below", Path("below.yaml"), {}, roles={"writer": thinking}, engines={"b": config})
    above = Graph(
        "above", Path("above.yaml"), {}, roles={"writer": plain}, engines={"a": config}, subspecs={"t": below}
    )
    pool, store = EnginePool(), cast("RunStore", None)
    one = RunScope(above, store, pool, Control()).running("writer")
    assert RunScope(below, store, pool, Control()).running("writer") is one
    assert list(built[0].values()) == [plain, thinking]
    assert len(built) == 1


async def test_an_engine_that_does_not_start_is_dead() -> None:
    class Broken(ScriptedEngine):
        async def start(self) -> None:
            raise EngineError("no such model")

    pool = EnginePool()
    running = pool.get("big", ScriptedConfig(), {})
    running.engine = Broken()
    request = Request((), Role(engine="big"), "writer")
    with pytest.raises(EngineDead, match="'big' did not start: no such model"):
        await running.complete(request)
    await pool.close()
