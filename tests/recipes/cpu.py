"""megatron-core's local layers forward and backward on a CPU, one process; in tests only.

Three calls ask for a CUDA device whatever the configuration says: rotary embeddings and the buffers of tensor parallel
layers take the current device, and dropout forks the CUDA random state.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import torch
from megatron.core import parallel_state
from megatron.core.tensor_parallel import random as parallel_random
from megatron.core.transformer.moe import moe_utils


@contextmanager
def one_process(folder: Path) -> Iterator[None]:
    """A group of one rank on gloo, and the three calls answered."""
    torch.set_num_threads(1)  # small matrices: more threads wait for each other, for minutes on a busy machine
    device, fork = torch.cuda.current_device, parallel_random.CudaRNGStatesTracker.fork
    torch.cuda.current_device = lambda: torch.device("cpu")
    parallel_random.CudaRNGStatesTracker.fork = lambda *_: nullcontext()
    if not hasattr(moe_utils, "te_general_gemm"):
        moe_utils.te_general_gemm = None  # what it is set to where TransformerEngine is too old
    torch.distributed.init_process_group("gloo", init_method=f"file://{folder / 'store'}", rank=0, world_size=1)
    parallel_state.initialize_model_parallel()
    try:
        yield
    finally:
        parallel_state.destroy_model_parallel()
        torch.distributed.destroy_process_group()
        torch.cuda.current_device, parallel_random.CudaRNGStatesTracker.fork = device, fork


def tokenizer(folder: Path) -> Any:
    """megatron-core's own wrapper of a tokenizer of Hugging Face: what Bridge gives to its datasets."""
    from megatron.core.tokenizers import MegatronTokenizer

    return MegatronTokenizer.from_pretrained(
        tokenizer_path=str(folder), metadata_path={"library": "huggingface"}, include_special_tokens=True
    )
