"""What every engine must do, as a pytest class that a plugin runs for its own.

    class TestMine(EngineContract):
        @classmethod
        @asynccontextmanager
        async def provide(cls):
            yield MyConfig(mine="model")

The engine is started once per class, on a loop of its own, so that a model is loaded once; no pytest plugin is needed.
Capabilities that the configuration does not claim are skipped, all others are held to their word.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar

import pytest

from synthkit.core.engine import Capability, Completion, Constraint, Engine, EngineConfig, Message, Request, Role
from synthkit.core.errors import EngineError, RequestRefused
from synthkit.core.ids import digest

T = TypeVar("T")

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "pattern": "^[a-z ]{1,12}$"},
        "grade": {"type": "integer", "minimum": 1, "maximum": 5},
        "kind": {"enum": ["bridge", "museum"]},
        "tags": {"type": "array", "items": {"enum": ["old", "new"]}, "minItems": 1, "maxItems": 2},
    },
    "required": ["name", "grade", "kind", "tags"],
    "additionalProperties": False,
}


@dataclass
class Running:
    """A started engine and the loop it lives on."""

    config: EngineConfig
    engine: Engine
    runner: asyncio.Runner

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run to the end, a minute at most."""
        return self.runner.run(asyncio.wait_for(work, 60))

    def ask(self, request: Request) -> Completion:
        """One completion."""
        return self.run(self.engine.complete(request))

    def needs(self, capability: Capability) -> None:
        """Skip the test where the engine does not claim it."""
        if capability not in self.config.capabilities():
            pytest.skip(f"{self.config.kind} does not claim {capability!r}")


class EngineBasics:
    """What the two contracts have in common: how an engine is started, and what holds whatever it is asked for."""

    roles: ClassVar[dict[str, Role]] = {"writer": Role(engine="it", max_tokens=64, temperature=0.9)}
    too_long: ClassVar[int] = 400_000
    """Words of a prompt that is longer than the model's context; 0 where there is no end to it."""

    @classmethod
    def provide(cls) -> AbstractAsyncContextManager[EngineConfig]:
        """The configuration under test, with whatever server it needs, for as long as the class runs."""
        raise NotImplementedError("override `provide` in your subclass")

    @classmethod
    def broken(cls) -> EngineConfig | None:
        """A configuration that cannot start; None skips the test."""
        return None

    @pytest.fixture(scope="class")
    @classmethod
    def running(cls) -> Iterator[Running]:
        """The engine, started once for the class."""

        @asynccontextmanager
        async def started() -> AsyncIterator[tuple[EngineConfig, Engine]]:
            async with cls.provide() as config:
                engine = config.build(cls.roles)
                await engine.start()
                try:
                    yield config, engine
                finally:
                    await engine.close()
                    await engine.close()

        with asyncio.Runner() as runner:
            entered = started()
            config, engine = runner.run(entered.__aenter__())
            try:
                yield Running(config, engine, runner)
            finally:
                runner.run(entered.__aexit__(None, None, None))

    def request(self, text: str = "Name a bridge.", **fields: Any) -> Request:
        """A small request."""
        raise NotImplementedError

    def test_too_long_a_prompt_is_refused_and_nothing_else(self, running: Running) -> None:
        """It is the fault of one row; its neighbours do not notice."""
        if not self.too_long:
            pytest.skip("there is no end to its context")

        async def both() -> tuple[Any, Any]:
            long = running.engine.complete(self.request("word " * self.too_long))
            refused, well = await asyncio.gather(long, running.engine.complete(self.request()), return_exceptions=True)
            return refused, well

        refused, well = running.run(both())
        assert isinstance(refused, RequestRefused), refused
        assert refused.reason == "too long"
        assert isinstance(well, Completion), well

    def test_counting_tokens_is_monotone(self, running: Running) -> None:
        """More text is not fewer tokens."""
        count = running.engine.count_tokens
        assert count("") == 0
        lengths = [count("the river and the bridge " * times) for times in range(1, 8)]
        assert lengths == sorted(lengths)
        assert lengths[0] > 0

    def test_the_window_is_positive(self, running: Running) -> None:
        """An engine that wants no requests would never get one."""
        assert running.engine.window >= 1

    def test_the_identity_is_plain_and_names_no_place(self, running: Running) -> None:
        """It can be hashed, and a moved server changes nothing."""
        identity = dict(running.config.identity())
        assert digest(identity)
        assert "http" not in json.dumps(identity)
        assert "${env" not in json.dumps(identity)

    def test_closing_before_the_start_and_twice(self, running: Running) -> None:
        """Closing is always safe."""

        async def close() -> None:
            engine = running.config.build(self.roles)
            await engine.close()
            await engine.close()

        running.run(close())

    def test_a_failed_start_says_so_and_can_be_closed(self) -> None:
        """EngineError from `start`, and from `complete` after it."""
        config = self.broken()
        if config is None:
            pytest.skip("no configuration is known to fail")

        async def fail() -> None:
            engine = config.build(self.roles)
            with pytest.raises(EngineError):
                await engine.start()
            with pytest.raises(EngineError):
                await engine.complete(self.request())
            await engine.close()
            await engine.close()

        asyncio.run(asyncio.wait_for(fail(), 120))


class EngineContract(EngineBasics):
    """Subclass it as `Test...` and override `provide`; the other class variables suit most engines."""

    labels: ClassVar[tuple[str, ...]] = ("yes", "no")
    """One-token labels of the model."""
    slow: ClassVar[dict[str, Any]] = {"max_tokens": 512}
    """Fields of a role whose requests take long enough to be cancelled."""

    def request(self, text: str = "Name a bridge.", **fields: Any) -> Request:
        """A small request; `role` may hold fields of the role."""
        role = self.roles["writer"].model_copy(update=fields.pop("role", {}))
        messages = (Message("system", "You write short replies about rivers and bridges."), Message("user", text))
        return Request(messages=messages, role=role, model="writer", **fields)

    def test_it_gives_n_samples(self, running: Running) -> None:
        """As many as asked for, each with an end."""
        for n in (1, 3):
            completion = running.ask(self.request(n=n, seed=5))
            assert len(completion.samples) == n
            assert all(isinstance(sample.text, str) for sample in completion.samples)
            assert all(sample.finish in ("stop", "length") for sample in completion.samples)

    def test_samples_of_one_request_differ_and_keep_their_order(self, running: Running) -> None:
        """A journal keeps samples by index, so their order must not change."""
        running.needs("seed")
        first, second = (running.ask(self.request(n=4, seed=11)) for _ in range(2))
        assert [sample.text for sample in first.samples] == [sample.text for sample in second.samples]
        assert len({sample.text for sample in first.samples}) > 1

    def test_a_seed_decides_the_reply(self, running: Running) -> None:
        """The same seed gives the same reply, another one another."""
        running.needs("seed")
        same = [running.ask(self.request(seed=3)).samples[0].text for _ in range(2)]
        other = [running.ask(self.request(seed=seed)).samples[0].text for seed in (4, 5, 6)]
        assert same[0] == same[1]
        assert set(other) != {same[0]}

    def test_greedy_samples_are_one_and_the_same(self, running: Running) -> None:
        """Temperature 0 with several samples is answered, however the engine dislikes it."""
        completion = running.ask(self.request(n=2, seed=1, role={"temperature": 0}))
        assert len(completion.samples) == 2

    def test_a_json_schema_is_kept(self, running: Running) -> None:
        """Every reply that ended by itself is what the schema says."""
        running.needs("json")
        from jsonschema import Draft202012Validator

        request = self.request(n=4, seed=2, constraint=Constraint("json", SCHEMA), role={"max_tokens": 200})
        for sample in running.ask(request).samples:
            if sample.finish == "stop":
                Draft202012Validator(SCHEMA).validate(json.loads(sample.text))
        assert any(sample.finish == "stop" for sample in running.ask(request).samples)

    def test_a_choice_is_kept(self, running: Running) -> None:
        """The reply is one of the choices, with nothing around it."""
        running.needs("choice")
        completion = running.ask(self.request(n=3, seed=2, constraint=Constraint("choice", ("river", "bridge"))))
        assert {sample.text for sample in completion.samples} <= {"river", "bridge"}

    def test_a_regex_is_kept(self, running: Running) -> None:
        """The whole reply matches."""
        running.needs("regex")
        completion = running.ask(self.request(n=3, seed=2, constraint=Constraint("regex", "[a-c]{2}-[0-9]{3}")))
        assert all(re.fullmatch("[a-c]{2}-[0-9]{3}", sample.text) for sample in completion.samples)

    def test_a_grammar_is_kept(self, running: Running) -> None:
        """The reply is a sentence of the grammar."""
        running.needs("grammar")
        completion = running.ask(self.request(constraint=Constraint("grammar", 'root ::= "river" | "bridge"')))
        assert completion.samples[0].text in ("river", "bridge")

    def test_labels_bring_their_log_probabilities(self, running: Running) -> None:
        """One for each label, and the reply is the likeliest."""
        running.needs("labels")
        (sample,) = running.ask(self.request("Is a bridge a river? yes or no", labels=self.labels)).samples
        assert sample.label_logprobs is not None
        assert set(sample.label_logprobs) == set(self.labels)
        assert all(value <= 1e-6 for value in sample.label_logprobs.values())
        assert sample.label_logprobs[sample.text] == max(sample.label_logprobs.values())

    def test_cancelling_frees_the_engine(self, running: Running) -> None:
        """A cancelled request takes no slot any more."""

        async def cancel() -> None:
            work = [
                asyncio.create_task(running.engine.complete(self.request(f"{number}", role=self.slow)))
                for number in range(16)
            ]
            await asyncio.sleep(0.05)
            for task in work:
                task.cancel()
            ended = await asyncio.gather(*work, return_exceptions=True)
            assert all(isinstance(each, asyncio.CancelledError | Completion) for each in ended)
            assert running.engine.load().running == 0
            assert running.engine.load().waiting == 0
            await running.engine.complete(self.request())

        running.run(cancel())

    def test_64_at_once(self, running: Running) -> None:
        """Concurrent requests get their own replies."""

        async def crowd() -> list[Completion]:
            requests = [self.request(f"{number}", seed=number, n=1 + number % 2) for number in range(64)]
            return await asyncio.gather(*(running.engine.complete(request) for request in requests))

        done = running.run(crowd())
        assert [len(each.samples) for each in done] == [1, 2] * 32

    def test_max_tokens_ends_a_reply(self, running: Running) -> None:
        """A limit of two tokens is a limit."""
        (sample,) = running.ask(self.request(role={"max_tokens": 2})).samples
        assert running.engine.count_tokens(sample.text) <= 6

    def test_usage_is_told(self, running: Running) -> None:
        """Token counts are sane where there are any."""
        usage = running.ask(self.request(seed=8)).usage
        assert usage.prompt >= 0
        assert usage.completion >= 0
        assert 0 <= usage.cached <= max(usage.prompt, 0)
