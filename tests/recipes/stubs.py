"""Stand-ins for packages that need CUDA, so that the real recipes import, build and validate on a CPU.

What a stub answers is a class or a module without behaviour: names, shapes and constraints are proven by these tests,
kernels are not. `CUDA_ONLY` and `ABSENT` are the whole list.
"""

from __future__ import annotations

import importlib.metadata
import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType, SimpleNamespace
from typing import Any

import torch

CUDA_ONLY = (
    "transformer_engine",  # compiled against CUDA
    "triton",  # comes with the CUDA build of torch
    "modelopt",  # NVIDIA's quantisation; its wheel wants CUDA libraries
)
ABSENT = (
    "megatron.energon",  # multimodal data
    "nemo.collections.llm.gpt.model.hyena",  # another model family, whose classes derive from TransformerEngine's
    "nemo.collections.llm.gpt.model.megatron.hyena",
)
MOE_NAMES = (
    "fused_permute",
    "fused_permute_with_probs",
    "fused_sort_chunks_by_index",
    "fused_sort_chunks_by_index_with_probs",
    "fused_unpermute",
)
"""What `moe_utils` takes from TransformerEngine, and a configuration with `moe_permute_fusion` asks for."""

_TE = "2.10.0"


class _Anything:
    def __init__(self, *args: Any, **kwargs: Any) -> None: ...

    def __class_getitem__(cls, item: Any) -> type:
        return cls


class _Stub(ModuleType):
    """A name in capitals is a class, any other a module."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        made = _Stub(f"{self.__name__}.{name}") if name[0].islower() else type(name, (_Anything,), {})
        setattr(self, name, made)
        return made

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self


class _Finder(MetaPathFinder, Loader):
    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        stubbed = any(name == each or name.startswith(f"{each}.") for each in (*CUDA_ONLY, *ABSENT))
        return ModuleSpec(name, self, is_package=True) if stubbed else None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        made = _Stub(spec.name)
        made.__dict__["__version__"] = _TE
        return made

    def exec_module(self, module: ModuleType) -> None: ...


def install() -> None:
    """Stub what `CUDA_ONLY` and `ABSENT` name, after megatron.core, which itself runs without them."""
    import megatron.core  # noqa: F401 - first: it then sees that TransformerEngine is not there
    from megatron.core.transformer.moe import moe_utils

    for name in MOE_NAMES:
        if not hasattr(moe_utils, name):
            setattr(moe_utils, name, _Anything)
    sys.meta_path.insert(0, _Finder())
    version = importlib.metadata.version
    importlib.metadata.version = lambda name: _TE if name == "transformer-engine" else version(name)
    torch.cuda.get_device_properties = lambda *_: SimpleNamespace(major=9, minor=0, name="NVIDIA H100")
