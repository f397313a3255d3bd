"""An engine that answers from what was answered before: a file written by `Recorder`, or a run's completions.

Replies are found by the request's content (`Request.digest`: all that is sent but `n` and the seed), so a spec can be
run again, changed behind the model calls, without a model. In a file of a `Recorder` the seed tells equal requests
apart; a run's completions have none, there equal requests share their samples in order. What was never asked is
refused, or answered by a script with `miss: scripted`. Everything is held in memory: about the size of the texts.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

import orjson
from pydantic import Field

from synthkit.core.engine import Capability, Completion, Engine, EngineConfig, Load, Request, Role, Sample, Usage
from synthkit.core.errors import EngineError, RequestRefused
from synthkit.core.ids import canonical
from synthkit.testing.scripted import ScriptedConfig, ScriptedEngine, request_key


class ReplayConfig(EngineConfig):
    """`replay: recorded.jsonl` or `replay: runs/name`; replies without a model, as they were."""

    kind: ClassVar[str] = "replay"

    replay: str = Field(min_length=1)
    """A file written by `Recorder`, or the folder of a run."""
    miss: Literal["refuse", "scripted"] = "refuse"
    """What becomes of a request that was never asked."""
    of: dict[str, Any] = Field(default_factory=dict)
    """The entry of the engine that was recorded, e.g. `{vllm: nano}`; needed to replay a run, whose completions are
    kept by a hash of that engine's identity too. Its rows are then reused as if it were there."""

    def recorded(self) -> EngineConfig | None:
        """The configuration of the engine that was recorded, where it is said."""
        if not self.of:
            return None
        from synthkit.core.registry import engines

        kinds = [kind for kind in engines() if kind in self.of]
        if len(kinds) != 1:
            known = ", ".join(engines())
            raise EngineError(f"replay: `of` is an entry of `engines:`, with one of the keys {known}; it is {self.of}")
        config: EngineConfig = engines()[kinds[0]].model_validate(self.of)
        return config

    def capabilities(self) -> frozenset[Capability]:
        """Those of the recorded engine; all where it is not said, for whatever was recorded can be replayed."""
        recorded = self.recorded()
        if recorded is not None:
            return recorded.capabilities()
        every: tuple[Capability, ...] = (
            "json", "regex", "choice", "grammar", "n", "seed", "logprobs", "labels", "lora", "thinking", "embed",
        )  # fmt: skip
        return frozenset(every)

    def identity(self) -> Mapping[str, Any]:
        """That of the recorded engine; the recording's name where it is not said."""
        recorded = self.recorded()
        return {"replay": Path(self.replay).name} if recorded is None else recorded.identity()

    def build(self, roles: Mapping[str, Role]) -> Engine:
        """A `ReplayEngine`; the recording is read when it starts."""
        return ReplayEngine(self)


class ReplayEngine:
    """Answers from a recording."""

    def __init__(self, config: ReplayConfig) -> None:
        """Reads nothing yet."""
        self.config = config
        self.script = ScriptedEngine(ScriptedConfig())
        """Answers what was not recorded, with `miss: scripted`."""
        self.misses = 0
        """Requests that were not recorded, or not with so many samples."""
        self._identity: Mapping[str, Any] = {}
        self._samples: dict[str, list[Sample]] | None = None

    @property
    def window(self) -> int:
        """It never waits, so a few rows at once are enough."""
        return 64

    async def start(self) -> None:
        """Read the recording."""
        path = Path(self.config.replay)
        self._identity = self.config.identity()
        try:
            records = _of_run(path / "completions.lance") if path.is_dir() else _of_file(path)
            self._samples = {}
            for keys, samples in records:
                for key in keys:
                    self._samples.setdefault(key, []).extend(samples)
        except (OSError, ValueError, KeyError) as error:
            self._samples = None
            raise EngineError(f"replay: {str(path)!r} cannot be read: {error}") from error

    async def complete(self, request: Request) -> Completion:
        """The recorded samples, in order."""
        if self._samples is None:
            raise EngineError(f"replay: {self.config.replay!r} is not started")
        content = request.digest(self._identity)
        for key in (request_key(request), request.digest(), content):
            found = self._samples.get(key, [])
            if len(found) >= request.n:
                samples = tuple(found[: request.n])
                return Completion(samples, Usage(completion=sum(self.count_tokens(each.text) for each in samples)))
        self.misses += 1
        if self.config.miss == "scripted":
            return await self.script.complete(request)
        raise RequestRefused(
            f"request {content} for {request.n} samples of {request.model!r} is not in {self.config.replay!r}; "
            "record it, or set `miss: scripted`",
            "not recorded",
        )

    def count_tokens(self, text: str) -> int:
        """A token for every four bytes."""
        return self.script.count_tokens(text)

    def load(self) -> Load:
        """Nothing runs."""
        return self.script.load()

    async def close(self) -> None:
        """Forget the recording."""
        self._samples = None


class Recorder:
    """Wraps an engine and appends every completion to a file that `replay:` reads."""

    def __init__(self, engine: Engine, path: Path) -> None:
        """Existing lines are kept."""
        self.engine = engine
        self.path = path

    @property
    def window(self) -> int:
        """That of the engine."""
        return self.engine.window

    async def start(self) -> None:
        """Start the engine."""
        await self.engine.start()

    async def complete(self, request: Request) -> Completion:
        """Ask the engine and write down what it said."""
        completion = await self.engine.complete(request)
        line = {
            "request": request.digest(),
            "key": request_key(request),
            "model": request.model,
            "messages": [[message.role, message.content] for message in request.messages],
            "samples": [_plain(sample) for sample in completion.samples],
        }
        handle = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            os.write(handle, canonical(line) + b"\n")
        finally:
            os.close(handle)
        return completion

    def count_tokens(self, text: str) -> int:
        """As the engine counts."""
        return self.engine.count_tokens(text)

    def load(self) -> Load:
        """That of the engine."""
        return self.engine.load()

    async def close(self) -> None:
        """Close the engine."""
        await self.engine.close()


def _of_file(path: Path) -> Iterable[tuple[Sequence[str], list[Sample]]]:
    """Keys and samples of each line; equal requests with different seeds share the content's key."""
    for line in path.read_bytes().splitlines():
        told = orjson.loads(line)
        yield (told["key"], told["request"]), [_sample(each) for each in told["samples"]]


def _of_run(path: Path) -> Iterable[tuple[Sequence[str], list[Sample]]]:
    """Keys and samples of a run's completions, in an order that does not depend on when they came."""
    import lance

    columns = ["request", "row", "step", "call", "attempt", "first", "samples"]
    table = lance.dataset(str(path)).to_table(columns=columns, filter="kind = 'ask'")
    order = [(name, "ascending") for name in columns[:-1]]
    for record in table.sort_by(order).to_pylist():
        yield (record["request"],), [_sample(each) for each in record["samples"]]


def _plain(sample: Sample) -> dict[str, Any]:
    logprobs = None if sample.label_logprobs is None else dict(sample.label_logprobs)
    return {
        "text": sample.text,
        "finish": sample.finish,
        "reasoning": sample.reasoning,
        "label_logprobs": logprobs,
    }


def _sample(told: Mapping[str, Any]) -> Sample:
    logprobs = told["label_logprobs"]
    if isinstance(logprobs, str):
        logprobs = orjson.loads(logprobs)
    return Sample(told["text"], told["finish"], told["reasoning"], logprobs)
