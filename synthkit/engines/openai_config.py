"""`openai:` in `engines:`; read at plan time, so it imports no HTTP client."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any, ClassVar, Literal
from urllib.parse import urlsplit

from pydantic import Field, field_validator

from synthkit.core.engine import Capability, Engine, EngineConfig, Role
from synthkit.core.errors import EngineDead, EngineError

Structured = Literal["auto", "response_format", "vllm", "sglang", "none"]
_REFERENCE = re.compile(r"\$\{env\.([A-Za-z_][A-Za-z0-9_]*)\}")


class OpenAIConfig(EngineConfig):
    """A model behind one or more servers that speak the OpenAI protocol: vLLM, SGLang, Ollama, hosted APIs.

    What an `embed` step asks goes to `/embeddings`, all else to `/chat/completions`.
    """

    kind: ClassVar[str] = "openai"

    openai: str = Field(min_length=1)
    """The model's name, as the server knows it."""
    urls: tuple[str, ...] = ("https://api.openai.com/v1",)
    """Base URLs of servers of the same model; each finds its own concurrency, and a dead one is left out."""
    key: str | None = None
    """A reference to the environment, `${env.NAME}`; only the reference is ever stored."""
    structured: Structured = "auto"
    """How `out:` is enforced: `response_format` (JSON only), `vllm` or `sglang` (their own fields), `none` (replies are
    only parsed); auto is `response_format` until a server refuses it, then `none`."""
    timeout: float = Field(default=600.0, gt=0)
    """Seconds for one request, the server's queue included."""
    patience: float = Field(default=120.0, gt=0)
    """Seconds without an answer from any server before the run stops."""
    retries: int = Field(default=6, ge=0)
    """Faults of one request that are tried again before its row is set aside as pending."""
    max_concurrency: int = Field(default=1024, ge=1)
    """Most requests at once to each server; how many there are is found while running."""
    tokenizer: str | None = None
    """Counts tokens: `nano`, a folder, or a hub name; without it a token is taken for four bytes."""
    extra: dict[str, Any] = Field(default_factory=dict)
    """Further fields of the request body; `null` removes one: `{max_tokens: null, max_completion_tokens: 900}`."""

    @field_validator("urls", mode="before")
    @classmethod
    def _several(cls, value: Any) -> Any:
        return [value] if isinstance(value, str) else value

    @field_validator("urls")
    @classmethod
    def _bases(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not value:
            raise ValueError("at least one URL is needed, e.g. http://localhost:8000/v1")
        return tuple(_base(url) for url in value)

    @field_validator("key")
    @classmethod
    def _reference(cls, value: str | None) -> str | None:
        if value is not None and not _REFERENCE.fullmatch(value):
            raise ValueError('a key never stands in a file: write "${env.NAME}" and export NAME')
        return value

    def capabilities(self) -> frozenset[Capability]:
        """What the way of sending constraints allows."""
        able: set[Capability] = {"n", "seed", "logprobs", "labels", "thinking", "embed"}
        if self.structured != "none":
            able.add("json")
        if self.structured in ("vllm", "sglang"):
            able |= {"regex", "choice", "grammar", "prefix_cache"}
        return frozenset(able)

    def identity(self) -> Mapping[str, Any]:
        """The model's name and the extra fields; never a URL or a key."""
        return {"openai": self.openai} | ({"extra": self.extra} if self.extra else {})

    def build(self, roles: Mapping[str, Role]) -> Engine:
        """An `OpenAIEngine`, not started."""
        try:
            from synthkit.engines.openai import OpenAIEngine
        except ImportError as error:
            raise EngineDead(f"openai: {error.name} is not installed: pip install 'synthkit[openai]'") from error
        return OpenAIEngine(self)

    def secret(self) -> str | None:
        """The key's value, from the environment; None where no key is configured."""
        if self.key is None:
            return None
        match = _REFERENCE.fullmatch(self.key)
        assert match is not None
        value = os.environ.get(match[1], "").strip()
        if not value:
            raise EngineError(f"openai: the environment variable {match[1]} is not set; export it, or take `key` out")
        return value


def _base(url: str) -> str:
    """The URL without a trailing slash, and with /v1 where it has no path."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise ValueError(f"{url!r} is not a URL such as http://localhost:8000/v1")
    if parts.username or parts.password:
        raise ValueError("a URL must not hold a password: use `key`")
    return url.rstrip("/") + ("" if parts.path.strip("/") else "/v1")
