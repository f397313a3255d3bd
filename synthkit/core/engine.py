"""The one seam to models: a request goes in, its samples come out.

Engines are built from a configuration class whose `kind` is the YAML key (`vllm:`, `openai:`), found through the
registry; built-ins have no privilege. What an engine cannot do is absent from `capabilities` and refused by the
plan, so that nobody pays for a surprise.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, Protocol

from pydantic import BaseModel, ConfigDict, Field

from synthkit.core.errors import EngineError
from synthkit.core.ids import Id, digest

Capability = Literal[
    "json", "regex", "choice", "grammar", "n", "seed", "logprobs", "labels", "prefix_cache", "lora", "thinking", "embed"
]
"""What an engine can do. `labels`: the probabilities of given one-token labels as the next token. `embed`: vectors of
texts; an engine that can do nothing else is refused to verbs that let a model write."""


@dataclass(frozen=True, slots=True)
class Message:
    """One chat message."""

    role: Literal["system", "user", "assistant"]
    content: str


@dataclass(frozen=True, slots=True)
class Constraint:
    """What the reply must look like; `value` is a JSON Schema, a regex, a tuple of choices or a grammar (EBNF)."""

    kind: Literal["json", "regex", "choice", "grammar"]
    value: Any


class Role(BaseModel):
    """A model as the steps know it: an engine and how to sample from it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    engine: str
    """Name of an entry of `engines`; two roles on one engine load it once."""
    temperature: float = Field(default=0.7, ge=0, le=5)
    """0 is greedy."""
    top_p: float = Field(default=1.0, gt=0, le=1)
    """Nucleus sampling; below 1 costs up to half the throughput on vLLM."""
    top_k: int = Field(default=0, ge=0)
    """0 keeps every token."""
    min_p: float = Field(default=0.0, ge=0, le=1)
    """Least probability relative to the best token."""
    max_tokens: int = Field(default=1024, ge=1)
    """Most tokens of one reply."""
    stop: tuple[str, ...] = ()
    """Texts that end a reply."""
    presence_penalty: float = 0.0
    """As in the OpenAI API."""
    frequency_penalty: float = 0.0
    """As in the OpenAI API."""
    repetition_penalty: float = Field(default=1.0, gt=0)
    """As in vLLM and Hugging Face; 1 is none."""
    thinking: bool | None = None
    """Thinking on or off by the chat template (`enable_thinking`); unset leaves the template's default."""
    lora: str | None = None
    """Name of an adapter of the engine."""
    reask: int = Field(default=1, ge=0, le=5)
    """How often a reply that does not parse is asked again with the error."""
    extra: dict[str, Any] = Field(default_factory=dict)
    """Further sampling parameters, passed to the engine as they are."""


@dataclass(frozen=True, slots=True)
class Request:
    """One call: a conversation, how to sample, and what the reply must look like."""

    messages: tuple[Message, ...]
    role: Role
    model: str
    """Name of the role, for usage figures."""
    n: int = 1
    seed: int | None = None
    constraint: Constraint | None = None
    labels: tuple[str, ...] = ()
    """One-token labels: the reply is one token and `Sample.label_logprobs` holds the raw log-probability of each."""
    priority: int = 0
    """Lower goes sooner; the executor gives later steps lower numbers."""
    run_seed: int = 0
    """The spec's `seed`, from which `seed` is drawn; engines need not look at it."""
    embed: bool = False
    """The one message is a text whose vector is wanted: nothing is sampled (of the role only `lora` and `extra` count),
    and `Sample.text` is the vector as `core.vector` writes it."""

    def digest(self, identity: Mapping[str, Any] | None = None) -> Id:
        """The hash of all that decides the reply but `n` and `seed`; `identity` is the engine's.

        A run seed counts where the reply is sampled: another one asks anew, and going back finds the old samples.
        """
        if self.embed:
            return digest([dict(identity or {}), self.role.lora, self.role.extra, "embed", self.messages[0].content])
        sampling = self.role.model_dump(mode="json", exclude={"engine", "reask"})
        spoken = [[message.role, message.content] for message in self.messages]
        constraint = [self.constraint.kind, self.constraint.value] if self.constraint else None
        parts = [digest([dict(identity or {}), sampling]), spoken, constraint, self.labels]
        return digest([*parts, self.run_seed] if self.run_seed and self.sampled else parts)

    @property
    def sampled(self) -> bool:
        """Whether chance has a part in the reply: a temperature above 0, and neither labels nor a vector wanted."""
        return self.role.temperature > 0 and not self.labels and not self.embed


@dataclass(frozen=True, slots=True)
class Sample:
    """One reply."""

    text: str
    finish: Literal["stop", "length"] = "stop"
    reasoning: str | None = None
    label_logprobs: Mapping[str, float] | None = None


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one completion."""

    prompt: int = 0
    cached: int = 0
    """Prompt tokens served from the prefix cache."""
    completion: int = 0


@dataclass(frozen=True, slots=True)
class Completion:
    """The `n` samples of one request, in order; fewer only with a `failure`."""

    samples: tuple[Sample, ...]
    usage: Usage = field(default_factory=Usage)
    failure: EngineError | None = None
    """Why the rest is missing, where a server gives samples one by one; raised once those here are in the journal."""


@dataclass(frozen=True, slots=True)
class Load:
    """What an engine is doing at this moment; for progress and admission."""

    running: int = 0
    waiting: int = 0


class Engine(Protocol):
    """A running engine. One event loop; `complete` may be called as often as `window` says, at once."""

    @property
    def window(self) -> int:
        """How many requests it wants outstanding now; may change while it runs (adaptive concurrency)."""
        ...

    async def start(self) -> None:
        """Load or connect; raises EngineError with what to do."""
        ...

    async def complete(self, request: Request) -> Completion:
        """Answer; raises RequestRefused, TransportError or EngineDead. Cancelling it aborts the request."""
        ...

    def count_tokens(self, text: str) -> int:
        """Tokens of `text`, without special tokens added."""
        ...

    def load(self) -> Load:
        """Requests running and waiting."""
        ...

    async def close(self) -> None:
        """Free what `start` took; safe to call twice and after a failed start."""
        ...


class EngineConfig(BaseModel):
    """An entry of `engines:`; subclasses are registered under the entry point group `synthkit.engines`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: ClassVar[str]
    """The YAML key that selects this engine; also the name of the field that holds its main value."""
    secrets: ClassVar[frozenset[str]] = frozenset({"key"})
    """Fields that take `${env.X}` and nothing else: the reference is kept, the engine reads the environment."""

    @abstractmethod
    def capabilities(self) -> frozenset[Capability]:
        """What an engine of this configuration can do; known before anything is loaded."""

    @abstractmethod
    def identity(self) -> Mapping[str, Any]:
        """What the replies depend on: model name and revision or a hash of the weights; never a URL or port."""

    @abstractmethod
    def build(self, roles: Mapping[str, Role]) -> Engine:
        """The engine, not started; heavy imports happen here or in `start`. `roles` are those that use it."""
