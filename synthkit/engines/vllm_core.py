"""An engine core of vLLM as seen from outside: its GPUs, its size, its end."""

from __future__ import annotations

from collections.abc import Sequence
from inspect import signature
from typing import Any

from synthkit.engines.devices import DEVICES
from synthkit.engines.vllm_config import VllmConfig


def sequences(config: Any) -> int:
    """Samples one engine works on at once; vLLM's figure is for one data-parallel rank."""
    ranks: int = config.parallel_config.data_parallel_size
    return ranks * int(config.scheduler_config.max_num_seqs)


def take_gpus(config: VllmConfig) -> Sequence[int | str]:
    """The GPUs of all replicas."""
    import torch

    each = config.gpus_of_replica()
    if config.args.get("distributed_executor_backend") == "ray" or config.args.get("nnodes", 1) > 1:
        return range(config.replicas * each)  # they lie on several machines, and vLLM places them
    shares = not {"gpu_memory_utilization", "kv_cache_memory_bytes"}.isdisjoint(config.args)
    present = torch.accelerator.device_count()
    return DEVICES.take(config.vllm, config.replicas * each, present, config.args.get("device_ids"), shares)


def shut_down(engine: Any) -> None:
    """Ask the core process to end; one on a CPU has nothing to lose and takes 4 s to see it, so it is killed."""
    if engine.vllm_config.device_config.device_type == "cpu" and "timeout" in signature(engine.shutdown).parameters:
        engine.shutdown(timeout=0)
    else:
        engine.shutdown()
    # The object may live until the interpreter's end in a cycle; its `__del__` calls this once more, too late.
    engine.shutdown = _nothing


def _nothing(*_: Any, **__: Any) -> None:
    """Stands in for `shutdown` once an engine is shut down."""
