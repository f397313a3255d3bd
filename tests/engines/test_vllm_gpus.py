"""What vLLM would be told on GPUs, where there are none: its platform and its engine are stood in for."""

from __future__ import annotations

from threading import Event
from types import SimpleNamespace
from typing import Any

import pytest

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
    from vllm.v1.engine.async_llm import AsyncLLM

    made: list[StandIn] = []

    def make(arguments: Any, usage_context: Any = None) -> StandIn:
        made.append(StandIn(arguments, usage_context))
        return made[-1]

    monkeypatch.setattr(AsyncLLM, "from_engine_args", make)
    monkeypatch.setattr(adapter, "installed", lambda: CUDA)
    return made


def test_an_h100_gets_the_batch_of_offline_use(told: list[StandIn], monkeypatch: pytest.MonkeyPatch) -> None:
    from vllm.engine import arg_utils

    adapter._load(VllmConfig(vllm="org/model"), {}, CUDA, 0, Event())
    adapter._load(VllmConfig(vllm="org/model"), {}, CPU, 0, Event())
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
