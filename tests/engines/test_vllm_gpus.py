"""What vLLM would be told on GPUs, where there are none: its platform and its engine are stood in for."""

from __future__ import annotations

from threading import Event
from types import SimpleNamespace
from typing import Any

import pytest

from synthkit.core.errors import EngineError
from synthkit.engines import vllm as adapter
from synthkit.engines.vllm_args import Installed
from synthkit.engines.vllm_config import VllmConfig

pytestmark = [pytest.mark.vllm, pytest.mark.filterwarnings("ignore")]

CUDA = Installed("0.32.0", False)
CPU = Installed("0.32.0", True)


class StandIn:
    """What the adapter sees of vLLM's engine."""

    def __init__(self, arguments: Any, context: Any) -> None:
        self.arguments = arguments
        self.context = context
        self.down = 0
        self.vllm_config = SimpleNamespace(
            model_config=SimpleNamespace(max_model_len=4096),
            scheduler_config=SimpleNamespace(max_num_seqs=64),
            device_config=SimpleNamespace(device_type="cuda"),
            parallel_config=SimpleNamespace(data_parallel_size=arguments.data_parallel_size),
        )

    def get_tokenizer(self) -> Any:
        return SimpleNamespace(chat_template="x")

    def shutdown(self) -> None:
        self.down += 1


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[StandIn]:
    """The engines made, on a machine of GPUs as it says; none has a core."""
    import torch
    from vllm.v1.engine.async_llm import AsyncLLM

    made: list[StandIn] = []

    def make(arguments: Any, usage_context: Any = None) -> StandIn:
        made.append(StandIn(arguments, usage_context))
        return made[-1]

    monkeypatch.setattr(AsyncLLM, "from_engine_args", make)
    monkeypatch.setattr(adapter, "installed", lambda: CUDA)
    monkeypatch.setattr(torch.accelerator, "device_count", lambda: 8)
    return made


def test_an_h100_gets_the_batch_of_offline_use(told: list[StandIn], monkeypatch: pytest.MonkeyPatch) -> None:
    from vllm.engine import arg_utils

    adapter._load(VllmConfig(vllm="org/model"), {}, CUDA, 0, Event(), [0])
    adapter._load(VllmConfig(vllm="org/model"), {}, CPU, 0, Event(), ())
    gpu, cpu = told
    h100 = SimpleNamespace(
        get_device_total_memory=lambda: 80 << 30,
        get_device_name=lambda: "NVIDIA H100 80GB HBM3",
        is_tpu=lambda: False,
        is_cpu=lambda: False,
    )
    monkeypatch.setattr(arg_utils, "current_platform", h100)
    tokens, sequences = gpu.arguments.get_batch_defaults(1)
    assert (sequences[gpu.context], tokens[gpu.context]) == (1024, 16384)
    assert cpu.context not in sequences


async def test_the_core_is_spawned_and_not_forked(told: list[StandIn], monkeypatch: pytest.MonkeyPatch) -> None:
    from vllm.utils.system_utils import get_mp_context

    monkeypatch.delenv("VLLM_WORKER_MULTIPROC_METHOD", raising=False)
    engine = VllmConfig(vllm="org/model").build({})
    await engine.start()
    assert get_mp_context().get_start_method() == "spawn"
    await engine.close()
    assert [each.down for each in told] == [1]


async def test_the_window_counts_every_data_parallel_rank(told: list[StandIn]) -> None:
    engine = VllmConfig(vllm="org/model", replicas=2, args={"data_parallel_size": 4}).build({})
    await engine.start()
    assert engine.window == 2 * 4 * 64 * 5 // 4
    await engine.close()
    assert [each.down for each in told] == [1, 1]


async def test_engines_of_one_process_get_gpus_of_their_own(told: list[StandIn]) -> None:
    first = VllmConfig(vllm="org/judge", gpus=2).build({})
    second = VllmConfig(vllm="org/writer", gpus=2, replicas=2).build({})
    await first.start()
    await second.start()
    assert [each.arguments.device_ids for each in told] == [None, [2, 3], [4, 5]]
    third = VllmConfig(vllm="org/large", gpus=4)
    with pytest.raises(EngineError, match=r"takes 4 GPUs, and of 8 there are held: 0 by 'org/judge', .* fewer `gpus`"):
        await third.build({}).start()
    await second.close()
    engine = third.build({})
    await engine.start()
    assert told[-1].arguments.device_ids == [2, 3, 4, 5]
    await engine.close()
    await first.close()


async def test_named_gpus_are_held_unless_memory_is_shared(told: list[StandIn]) -> None:
    first = VllmConfig(vllm="org/a").build({})
    await first.start()
    with pytest.raises(EngineError, match=r"'org/b' takes 1 GPUs \(\[0\]\)"):
        await VllmConfig(vllm="org/b", args={"device_ids": [0]}).build({}).start()
    sharing = VllmConfig(vllm="org/b", args={"device_ids": [0], "gpu_memory_utilization": 0.4}).build({})
    await sharing.start()
    assert len(told) == 2
    await sharing.close()
    await first.close()
