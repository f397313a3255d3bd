"""The engine contract, over every engine that ships."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, ClassVar

import pytest

from synthkit.core.engine import EngineConfig
from synthkit.engines.openai_config import OpenAIConfig
from synthkit.engines.vllm_config import VllmConfig
from synthkit.testing.embedding_contract import EmbeddingContract
from synthkit.testing.engine_contract import EngineContract
from synthkit.testing.replay import ReplayConfig
from synthkit.testing.scripted import ScriptedConfig
from synthkit.testing.server import FaultServer

sys.path.insert(0, str(Path(__file__).parents[1] / "engines"))


class TestScripted(EngineContract):
    slow: ClassVar[dict[str, Any]] = {}

    @classmethod
    @asynccontextmanager
    async def provide(cls) -> AsyncIterator[EngineConfig]:
        yield ScriptedConfig(latency=0.01, slots=32, context=50_000)

    @classmethod
    def broken(cls) -> EngineConfig:
        return ScriptedConfig(scripted="no_such_module:reply")


class TestReplay(EngineContract):
    slow: ClassVar[dict[str, Any]] = {}
    too_long = 0

    @classmethod
    @asynccontextmanager
    async def provide(cls) -> AsyncIterator[EngineConfig]:
        yield _Lenient(replay="/dev/null", miss="scripted")

    @classmethod
    def broken(cls) -> EngineConfig:
        return ReplayConfig(replay="/no/such/file.jsonl")


class _Lenient(ReplayConfig):
    """What is not recorded is scripted, and a script draws nothing from a grammar."""

    def capabilities(self) -> frozenset[Any]:
        return super().capabilities() - {"grammar"}


class TestOpenAI(EngineContract):
    @classmethod
    @asynccontextmanager
    async def provide(cls) -> AsyncIterator[EngineConfig]:
        async with FaultServer(latency=0.005, slots=64, context=50_000) as server:
            yield OpenAIConfig(openai="scripted", urls=server.url)

    @classmethod
    def broken(cls) -> EngineConfig:
        return OpenAIConfig(openai="scripted", urls="http://127.0.0.1:9/v1")


class TestOpenAIWithoutN(TestOpenAI):
    @classmethod
    @asynccontextmanager
    async def provide(cls) -> AsyncIterator[EngineConfig]:
        async with FaultServer(native_n=False, context=50_000) as server:
            yield OpenAIConfig(openai="scripted", urls=[server.url])


class TestTwoServersLikeVllm(TestOpenAI):
    @classmethod
    @asynccontextmanager
    async def provide(cls) -> AsyncIterator[EngineConfig]:
        async with FaultServer(context=50_000) as one, FaultServer(context=50_000) as two:
            yield _NoGrammar(openai="scripted", urls=[one.url, two.url], structured="vllm")


class _NoGrammar(OpenAIConfig):
    def capabilities(self) -> frozenset[Any]:
        return super().capabilities() - {"grammar"}


@pytest.mark.vllm
class TestVllm(EngineContract):
    too_long = 3000
    slow: ClassVar[dict[str, Any]] = {"max_tokens": 900, "extra": {"ignore_eos": True}}

    @classmethod
    @asynccontextmanager
    async def provide(cls) -> AsyncIterator[EngineConfig]:
        from tests.engines.tiny import tiny_model

        yield VllmConfig(vllm=str(tiny_model()))


@pytest.mark.vllm
@pytest.mark.slow
class TestVllmTwice(TestVllm):
    """Two replicas, with an adapter."""

    @classmethod
    @asynccontextmanager
    async def provide(cls) -> AsyncIterator[EngineConfig]:
        from tests.engines.tiny import tiny_lora, tiny_model

        model = tiny_model()
        yield VllmConfig(vllm=str(model), replicas=2, loras={"river": str(tiny_lora(model))})

    @classmethod
    def broken(cls) -> EngineConfig:
        return VllmConfig(vllm="/no/such/model")


class TestScriptedVectors(EmbeddingContract):
    @classmethod
    @asynccontextmanager
    async def provide(cls) -> AsyncIterator[EngineConfig]:
        yield ScriptedConfig(latency=0.01, slots=32, context=50_000)


class TestReplayedVectors(EmbeddingContract):
    too_long = 0

    @classmethod
    @asynccontextmanager
    async def provide(cls) -> AsyncIterator[EngineConfig]:
        yield ReplayConfig(replay="/dev/null", miss="scripted")


class TestOpenAIVectors(EmbeddingContract):
    @classmethod
    @asynccontextmanager
    async def provide(cls) -> AsyncIterator[EngineConfig]:
        async with FaultServer(latency=0.005, slots=64, context=50_000) as server:
            yield OpenAIConfig(openai="scripted", urls=server.url)


class TestOpenAIVectorsInNumbers(EmbeddingContract):
    """A server that does not know base64, and fails one try in five."""

    @classmethod
    @asynccontextmanager
    async def provide(cls) -> AsyncIterator[EngineConfig]:
        faults: list[Any] = ["500", "503", "429", "reset", "malformed", "truncated", "empty", "blank", "slow"]
        async with FaultServer(rate=0.2, faults=faults, base64=False, context=50_000) as server:
            yield OpenAIConfig(openai="scripted", urls=server.url)


@pytest.mark.vllm
class TestVllmVectors(EmbeddingContract):
    """A model that writes, loaded to embed, in vLLM."""

    too_long = 3000

    @classmethod
    @asynccontextmanager
    async def provide(cls) -> AsyncIterator[EngineConfig]:
        from tests.engines.tiny import tiny_model

        yield VllmConfig(vllm=str(tiny_model()), embed=True)
