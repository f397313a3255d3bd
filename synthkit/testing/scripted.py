"""A deterministic engine without a model: for tests, dry runs and benchmarks.

A reply depends on the messages, the seed and the sample index only, and satisfies the request's constraint, so every
run gives the same rows wherever and however often it is interrupted. It can model an engine (slots, latency), fail
by plan (every k-th request, chosen by its hash and not by timing), and log what it answered for tests that kill the
process. A request costs 40-150 us, most of it drawing the fake reply; a function of your own may be cheaper.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from random import Random
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field

from synthkit.core.engine import Capability, Completion, Engine, EngineConfig, Load, Request, Role, Sample, Usage
from synthkit.core.errors import EngineDead, EngineError, RequestRefused, TransportError
from synthkit.core.ids import canonical, digest, seed
from synthkit.core.vector import to_text

Function = Callable[[Request], "str | Sample | list[str | Sample]"]
"""What a script may be: a reply for all samples, or a list of `n`; where `request.embed`, a vector by `core.vector`."""

_CAPABILITIES: tuple[Capability, ...] = (
    "json", "regex", "choice", "n", "seed", "logprobs", "labels", "lora", "thinking", "embed",
)  # fmt: skip


class Faults(BaseModel):
    """Every k-th fails, chosen by the request's hash; 0 is never. Not part of the engine's identity."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    truncated: int = Field(default=0, ge=0)
    """Samples cut in half, with finish `length`."""
    malformed: int = Field(default=0, ge=0)
    """Samples that are not JSON although a schema was asked for."""
    refused: int = Field(default=0, ge=0)
    """Requests answered by RequestRefused."""
    transport: int = Field(default=0, ge=0)
    """Requests answered by TransportError."""
    dead: int = Field(default=0, ge=0)
    """Requests that kill the engine: EngineDead, then and ever after."""
    heals: int = Field(default=0, ge=0)
    """A request that met this many transport errors is answered; 0 never heals."""


class ScriptedConfig(EngineConfig):
    """`scripted: auto`, or `scripted: module:function`; replies without a model."""

    kind: ClassVar[str] = "scripted"

    scripted: str = "auto"
    """`auto` draws replies from the constraint; `module:function` or `file.py:function` is called with the request."""
    latency: float = Field(default=0.0, ge=0)
    """Seconds for each sample."""
    slots: int = Field(default=0, ge=0)
    """Samples worked on at once, as a real engine's batch; 0 is without end."""
    wanted: int = Field(default=256, ge=1)
    """The window: requests it wants outstanding."""
    context: int | None = None
    """Prompt tokens above it are refused as too long."""
    without: tuple[Capability, ...] = ()
    """Capabilities it pretends not to have."""
    record: bool = True
    """Keep and count the requests, for assertions; switch it off where memory is measured."""
    faults: Faults = Faults()
    """What goes wrong, and how often."""
    log: Path | None = None
    """A file that gets one line for every finished completion, written at once: see `read_log`."""

    def capabilities(self) -> frozenset[Capability]:
        """All but grammars and prefix caching, less `without`."""
        return frozenset(_CAPABILITIES) - frozenset(self.without)

    def identity(self) -> Mapping[str, Any]:
        """The script's name."""
        return {"scripted": self.scripted}

    def build(self, roles: Mapping[str, Role]) -> Engine:
        """A `ScriptedEngine`."""
        return ScriptedEngine(self)


class ScriptedEngine:
    """Answers from a script and counts what it was asked."""

    def __init__(self, config: ScriptedConfig | None = None, function: Function | None = None) -> None:
        """`function` stands in for the one named in the configuration; tests may pass a lambda."""
        from synthkit.testing.slots import Slots

        self.config = config or ScriptedConfig()
        self.asked: Counter[str] = Counter()
        """Requests received, by `request_key`."""
        self.answered: Counter[str] = Counter()
        """Requests answered, by `request_key`."""
        self.requests: list[Request] = []
        """Requests received, in order."""
        self._function = function
        self._slots = Slots(self.config.slots)
        self._dead = self._closed = False
        self._keyed = self.config.record or self.config.log is not None or self.config.faults != Faults()

    @property
    def window(self) -> int:
        """As configured."""
        return self.config.wanted

    async def start(self) -> None:
        """Load the script's function."""
        self._script()

    async def complete(self, request: Request) -> Completion:
        """Answer by the script, after the modelled time."""
        if self._closed:
            raise EngineError("the scripted engine was closed")
        key = request_key(request) if self._keyed else ""
        if self.config.record:
            self.asked[key] += 1
            self.requests.append(request)
        await self._slots.hold(request.n, self.config.latency, request.priority)
        prompt = sum(self.count_tokens(message.content) + 4 for message in request.messages)
        self._fail(request, key, prompt)
        told = self._samples(request)
        samples = tuple(told if request.embed else (self._damage(each, key, at) for at, each in enumerate(told)))
        written = 0 if request.embed else sum(self.count_tokens(sample.text) for sample in samples)
        usage = Usage(prompt=prompt, completion=written)
        if self.config.record:
            self.answered[key] += 1
        if self.config.log is not None:
            self._note(key, request)
        return Completion(samples, usage)

    def count_tokens(self, text: str) -> int:
        """A token for every four bytes."""
        return (len(text.encode()) + 3) // 4

    def load(self) -> Load:
        """Samples running and waiting."""
        return self._slots.load()

    async def close(self) -> None:
        """Nothing to free; later requests are refused."""
        self._closed = True

    def _script(self) -> Function:
        if self._function is None:
            name = self.config.scripted
            self._function = _automatic if name == "auto" else _load(name)
        return self._function

    def _samples(self, request: Request) -> list[Sample]:
        replies = self._script()(request)
        replies = replies if isinstance(replies, list) else [replies] * request.n
        if len(replies) != request.n:
            raise EngineError(
                f"the script {self.config.scripted!r} gave {len(replies)} replies to a request for {request.n}"
            )
        samples = [reply if isinstance(reply, Sample) else Sample(reply) for reply in replies]
        if request.embed:
            return samples
        if request.labels:
            return [_labelled(request, index, sample) for index, sample in enumerate(samples)]
        most = request.role.max_tokens * 4
        return [Sample(s.text[:most], "length", s.reasoning) if len(s.text) > most else s for s in samples]

    def _fail(self, request: Request, key: str, prompt: int) -> None:
        """Raise what the fault plan has for this request."""
        context, faults = self.config.context, self.config.faults
        if context is not None and prompt > context:
            raise RequestRefused(f"the prompt has {prompt} tokens, the scripted engine takes {context}", "too long")
        if self._dead or _due(key, "dead", faults.dead):
            self._dead = True
            raise EngineDead("the scripted engine died, as its fault plan says")
        if _due(key, "refused", faults.refused):
            raise RequestRefused("the scripted engine refuses this request, as its fault plan says")
        if _due(key, "transport", faults.transport) and not 0 < faults.heals < self.asked[key]:
            raise TransportError("the scripted engine cannot be reached, as its fault plan says")

    def _damage(self, sample: Sample, key: str, index: int) -> Sample:
        faults = self.config.faults
        if _due(key, f"truncated {index}", faults.truncated):
            return Sample(sample.text[: len(sample.text) // 2], "length", sample.reasoning)
        if _due(key, f"malformed {index}", faults.malformed):
            return Sample('{"oops": [' + sample.text[:8], "stop", sample.reasoning)
        return sample

    def _note(self, key: str, request: Request) -> None:
        """One write, so that lines of a killed process are whole."""
        line = canonical({"key": key, "n": request.n, "model": request.model}) + b"\n"
        handle = os.open(str(self.config.log), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            os.write(handle, line)
        finally:
            os.close(handle)


def request_key(request: Request) -> str:
    """What makes two requests the same call: all that is sent, the seed included, but not `n`."""
    return digest([request.digest(), request.seed])


def read_log(path: Path) -> Counter[str]:
    """How often each request (by `request_key`) was answered, over all processes that logged to `path`."""
    import orjson

    return Counter(orjson.loads(line)["key"] for line in path.read_bytes().splitlines())


def _due(key: str, fault: str, every: int) -> bool:
    return every > 0 and seed(fault, key) % every == 0


def _automatic(request: Request) -> str | Sample | list[str | Sample]:
    """Fake replies that satisfy the request's constraint."""
    from synthkit.testing.fake import reply_text, sentence, word_vector

    if request.embed:
        return to_text(word_vector(request.messages[0].content))
    content = [[message.role, message.content] for message in request.messages]
    replies: list[str | Sample] = []
    for index in range(request.n):
        random = Random(seed(content, request.seed, index))
        reasoning = sentence(random, 20, 80) if request.role.thinking else None
        text = random.choice(request.labels) if request.labels else reply_text(request.constraint, random)
        replies.append(Sample(text, reasoning=reasoning))
    return replies


def _labelled(request: Request, index: int, sample: Sample) -> Sample:
    """Log-probabilities for the labels, highest for the one the script replied."""
    if sample.label_logprobs is not None:
        return sample
    random = Random(seed(sample.text, [message.content for message in request.messages], request.seed, index))
    weights = {label: random.random() + (1.0 if label == sample.text else 0.05) for label in request.labels}
    from math import log

    total = sum(weights.values()) * 1.1
    logprobs = {label: log(weight / total) for label, weight in weights.items()}
    return Sample(max(logprobs, key=lambda label: logprobs[label]), label_logprobs=logprobs)


def _load(name: str) -> Function:
    """The function named `module:function` or `file.py:function`."""
    from importlib import import_module, util

    place, _, attribute = name.rpartition(":")
    try:
        if place.endswith(".py"):
            spec = util.spec_from_file_location(Path(place).stem, place)
            assert spec is not None and spec.loader is not None
            module = util.module_from_spec(spec)
            spec.loader.exec_module(module)
        else:
            module = import_module(place)
        function: Function = getattr(module, attribute)
    except (ImportError, OSError, AttributeError, ValueError) as error:
        raise EngineError(
            f"scripted: {name!r} cannot be loaded ({error}); write `auto`, `module:function` or `file.py:function`"
        ) from error
    return function
