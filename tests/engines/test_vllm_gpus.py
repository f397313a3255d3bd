"""What vLLM would be told on GPUs, where there are none: its platform and its engine are stood in for."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from synthkit.engines import vllm as adapter
from synthkit.engines.vllm_args import Installed
from synthkit.engines.vllm_config import VllmConfig

pytestmark = [pytest.mark.vllm, pytest.mark.filterwarnings("ignore")]

CUDA = Installed("0.32.0", False)
CPU = Installed("0.32.0", True)


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What the engine was made with; none is started."""
    from vllm.v1.engine.async_llm import AsyncLLM

    made: list[Any] = []

    def keep(arguments: Any, usage_context: Any = None) -> Any:
        made.append((arguments, usage_context))
        return SimpleNamespace()

    monkeypatch.setattr(AsyncLLM, "from_engine_args", keep)
    return made


def test_an_h100_gets_the_batch_of_offline_use(told: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    from vllm.engine import arg_utils

    adapter._load(VllmConfig(vllm="org/model"), {}, CUDA, 0)
    adapter._load(VllmConfig(vllm="org/model"), {}, CPU, 0)
    (arguments, context), (_, on_cpu) = told
    h100 = SimpleNamespace(
        get_device_total_memory=lambda: 80 << 30,
        get_device_name=lambda: "NVIDIA H100 80GB HBM3",
        is_tpu=lambda: False,
        is_cpu=lambda: False,
    )
    monkeypatch.setattr(arg_utils, "current_platform", h100)
    tokens, sequences = arguments.get_batch_defaults(1)
    assert (sequences[context], tokens[context]) == (1024, 16384)
    assert on_cpu not in sequences
