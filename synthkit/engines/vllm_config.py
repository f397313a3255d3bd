"""`vllm:` in `engines:`; read at plan time, so it imports nothing of vLLM."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import Field, field_validator, model_validator

from synthkit.core.engine import Capability, Engine, EngineConfig, Role
from synthkit.core.sizes import parse_tokens
from synthkit.engines.weights import weights_hash

_DECISIVE = (
    *("dtype", "quantization", "hf_overrides", "tokenizer", "tokenizer_revision", "load_format", "rope_scaling"),
    *("pooler_config", "convert"),
)
"""Arguments that change what the model replies; all others (memory, batching, backends) are in no fingerprint."""
_SIZE = re.compile(r"\d+(\.\d+)?[KMG]i")


class VllmConfig(EngineConfig):
    """A model run by vLLM inside this process: on its GPUs, or on the CPU with the `cpu` extra."""

    kind: ClassVar[str] = "vllm"

    vllm: str = Field(min_length=1)
    """`nano` (shipped), a folder, or a name on the Hugging Face hub."""
    revision: str | None = None
    """Branch, tag or commit on the hub."""
    gpus: int = Field(default=1, ge=1)
    """GPUs per replica (tensor parallel size); no meaning on a CPU."""
    replicas: int = Field(default=1, ge=1)
    """Engines side by side, each with its own GPUs; requests go to the least loaded, prefixes stay together."""
    args: dict[str, Any] = Field(default_factory=dict)
    """Any argument of vLLM's engine (`max_model_len: 40Ki`, `quantization: fp8`); passed through as it is, but that
    `device_ids` lists the GPUs of all replicas."""
    structured: Literal["auto", "xgrammar", "guidance", "outlines"] = "auto"
    """What enforces `out:`; auto is guidance, on a CPU and on GPUs."""
    embed: bool = False
    """Load the model to embed texts, for `embed` steps, and for nothing else; any model can be, few are good at it."""
    loras: dict[str, str] = Field(default_factory=dict)
    """LoRA adapters by the name roles use (`lora: name`): folders."""
    seed: int = 0
    """Seed of requests that bring none."""

    @field_validator("args", mode="before")
    @classmethod
    def _sizes(cls, value: Any) -> Any:
        return _resolve(value)

    @model_validator(mode="after")
    def _enough_devices(self) -> VllmConfig:
        given, needed = self.args.get("device_ids"), self.replicas * self.gpus_of_replica()
        if given is not None and (not isinstance(given, list) or len(given) != needed):
            raise ValueError(f"`device_ids` lists the GPUs of all replicas: {needed} here, not {given!r}")
        return self

    def gpus_of_replica(self) -> int:
        """GPUs of one replica: tensor, pipeline and data parallel ranks."""
        ranks = [self.args.get(f"{kind}_parallel_size", 1) for kind in ("pipeline", "data")]
        return int(self.args.get("tensor_parallel_size", self.gpus) * ranks[0] * ranks[1])

    def capabilities(self) -> frozenset[Capability]:
        """All but vectors, or vectors alone; grammars not with outlines, LoRA where there are adapters."""
        if self.embed:
            return frozenset({"embed", "lora"} if self.loras else {"embed"})
        able: set[Capability] = {"json", "regex", "choice", "n", "seed", "logprobs", "labels", "thinking"}
        if self.structured != "outlines":
            able.add("grammar")
        if self.args.get("enable_prefix_caching", True):
            able.add("prefix_cache")
        if self.loras:
            able.add("lora")
        return frozenset(able)

    def identity(self) -> Mapping[str, Any]:
        """Name and revision of a hub model, the weights' hash of a folder; adapters; arguments that decide replies."""
        folder = self.folder()
        model: dict[str, Any] = {"weights": weights_hash(folder)} if folder else {"vllm": self.vllm}
        if not folder and self.revision:
            model["revision"] = self.revision
        adapters = {name: weights_hash(Path(at)) if Path(at).exists() else at for name, at in self.loras.items()}
        decisive = {name: self.args[name] for name in _DECISIVE if name in self.args}
        return model | ({"loras": adapters} if adapters else {}) | ({"args": decisive} if decisive else {})

    def folder(self) -> Path | None:
        """The folder of the weights; None for a model on the hub."""
        if self.vllm == "nano":
            from synthkit.core.resources import shipped

            return shipped("nano")
        path = Path(self.vllm).expanduser()
        return path if path.is_dir() else None

    def build(self, roles: Mapping[str, Role]) -> Engine:
        """A `VllmEngine`, not started: vLLM is imported when it starts."""
        from synthkit.engines.vllm import VllmEngine

        return VllmEngine(self, roles)


def _resolve(value: Any) -> Any:
    """Sizes such as `40Ki` as numbers, at any depth; all else as it is."""
    if isinstance(value, str) and _SIZE.fullmatch(value):
        return parse_tokens(value)
    if isinstance(value, Mapping):
        return {key: _resolve(item) for key, item in value.items()}
    return [_resolve(item) for item in value] if isinstance(value, list) else value
