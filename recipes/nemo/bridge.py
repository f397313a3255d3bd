"""Megatron-Bridge: the library's own recipe for the model, with a plan's values put onto it.

`values` is data, and the same for 0.3 (Python 3.11) and 0.6 (3.12) but for the names in `_NAMES`; `config` imports
the library. The recipe keeps what NVIDIA tuned (fusions, dispatcher, precision) and we set what the corpus and the
user decide.
"""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import version
from typing import Any

from recipes.nemo import apart
from recipes.nemo import plan as plans
from recipes.nemo.corpus import Blend
from recipes.nemo.errors import LaunchError
from recipes.nemo.fields import put, sections
from recipes.nemo.plan import Plan

# In 0.6 the short name is another layout (TP 1, EP 16, CUDA graphs for 4Ki tokens); the one for 8 GPUs is that of 0.3.
RECIPES = {
    ("0.3", "pretrain"): "megatron.bridge.recipes.qwen.qwen3_moe:qwen3_30b_a3b_pretrain_config",
    ("0.3", "sft"): "megatron.bridge.recipes.qwen.qwen3_moe:qwen3_30b_a3b_sft_config",
    ("0.6", "pretrain"): "megatron.bridge.recipes.qwen.h100.qwen3_moe:qwen3_30b_a3b_pretrain_8gpu_h100_bf16_config",
    ("0.6", "sft"): "megatron.bridge.recipes.qwen.h100.qwen3_moe:qwen3_30b_a3b_sft_8gpu_h100_bf16_config",
}
_NAMES = {
    "0.3": {"validation": "train", "sequence": "sequence_length"},
    "0.6": {"validation": "validation", "sequence": "seq_length"},
}
_VALIDATION_STEPS = 32


def values(plan: Plan, release: str) -> dict[str, dict[str, Any]]:
    """Section -> field -> value for a release, `0.3` or `0.6`; the dataset of chats is an object of its own, see
    `_chats`."""
    settings, names = plan.settings, _NAMES[release]
    output = settings.output
    found: dict[str, dict[str, Any]] = {
        "model": {
            "seq_length": plan.sequence,
            "tensor_model_parallel_size": plan.tensor,
            "pipeline_model_parallel_size": plan.pipeline,
            "context_parallel_size": plan.context,
            "expert_model_parallel_size": plan.expert,
            "sequence_parallel": plan.tensor > 1,
            "cp_comm_type": settings.parallel.context_exchange if plan.context > 1 else None,
            **_recompute(settings.recompute),
            **_positions(plan),
        },
        "train": {
            "train_iters": plan.iterations,
            "global_batch_size": plan.global_batch,
            "micro_batch_size": plan.micro_batch,
        },
        "optimizer": {"lr": settings.schedule.peak, "min_lr": settings.schedule.final},
        "scheduler": {
            "lr_decay_style": settings.schedule.style,
            "lr_warmup_iters": settings.schedule.warmup,
            "lr_decay_iters": plan.iterations,
            "lr_wsd_decay_iters": settings.schedule.decay,
        },
        "checkpoint": {
            "pretrained_checkpoint": str(plan.checkpoint),
            "save": f"{output}/checkpoints",
            "load": f"{output}/checkpoints",
            "save_interval": settings.save_every,
        },
        "logger": {"tensorboard_dir": f"{output}/tensorboard"},
        "rng": {"seed": settings.seed},
        "tokenizer": {"tokenizer_type": "HuggingFaceTokenizer", "tokenizer_model": settings.base},
    }
    found.setdefault(names["validation"], {}).update(
        eval_interval=settings.validate_every, eval_iters=_VALIDATION_STEPS if plan.validated else 0
    )
    if plan.apart:
        if release == "0.3":
            raise LaunchError("Bridge 0.3 reads no packed Parquet", "Bridge 0.6, or documents: together")
    elif settings.stage == "pretrain":
        found["dataset"] = {
            names["sequence"]: plan.sequence,
            "random_seed": settings.seed,
            "blend": None,
            "blend_per_split": _splits(plan.train, plan.valid),
            "split": None,
            "create_attention_mask": False,  # dense S x S a sample: 64 GiB at 128K, and flash attention makes its own
            # a pack is one sequence; with it the last label is the next pack's first
            "add_extra_token_to_sequence": False,
            "reset_position_ids": False,
            "reset_attention_mask": False,
            # No loss on what follows the end of a document, which no context tells; where to stop is still learned.
            # And Megatron keeps one loss mask for all samples otherwise, with the first sample's pads in it (0.16.1;
            # tests/recipes).
            "eod_mask_loss": True,
            "num_workers": settings.workers,
        }
    elif plan.context > 1:
        found["model"]["calculate_per_token_loss"] = True  # a rank whose tokens are all masked would divide by zero
        found["ddp"] = {"average_in_collective": False}
    for section, fields in sections(settings.overrides).items():
        found.setdefault(section, {}).update(fields)
    return found


def config(plan: Plan) -> Any:
    """The library's ConfigContainer, ready for `pretrain` or `finetune`."""
    from transformers import AutoTokenizer

    release = _release()
    tokenizer = AutoTokenizer.from_pretrained(plan.settings.base)
    plans.tokenizer_agrees(plan, tokenizer)
    made = _recipe(plan.settings.recipe or RECIPES[release, plan.settings.stage])()
    if plan.settings.rope.kind == "yarn":
        from recipes.nemo.yarn import stretchable

        made.model = stretchable(made.model)
    if plan.settings.stage == "sft":
        made.dataset = _chats(plan, release)
        made.tokenizer.chat_template = plans.template(plan, tokenizer)
    if plan.apart:
        made.dataset = _apart(plan)
    put(made, values(plan, release))
    _fits(plan, made.model)
    return made


def _release() -> str:
    found = ".".join(version("megatron-bridge").split(".")[:2])
    if found not in _NAMES:
        raise LaunchError(f"megatron-bridge {found} is not known here", f"there are: {', '.join(_NAMES)}")
    return found


def _recipe(name: str) -> Any:
    module, _, function = name.partition(":")
    try:
        return getattr(import_module(module), function)
    except (ImportError, AttributeError) as error:
        raise LaunchError(f"recipe {name}: {error}", "module:function of the installed Megatron-Bridge") from error


def _splits(train: Blend | None, valid: Blend | None) -> list[Blend | None]:
    """Blends of train, valid and test: what is held out was held out at export, by row, so that no split cuts a
    pack."""
    return [train, valid, None]


def _recompute(kind: str) -> dict[str, Any]:
    if kind == "full":
        return {
            "recompute_granularity": "full",
            "recompute_method": "uniform",
            "recompute_num_layers": 1,
            "recompute_modules": None,
        }
    chosen = "selective" if kind == "selective" else None
    modules = ["core_attn"] if kind == "selective" else None
    return {
        "recompute_granularity": chosen,
        "recompute_method": None,
        "recompute_num_layers": None,
        "recompute_modules": modules,
    }


def _positions(plan: Plan) -> dict[str, Any]:
    """Rotary base, or all of YaRN: Megatron reads each of these, and 0.3 imports a `yarn` configuration of Qwen3 as
    plain rope."""
    rope = plan.settings.rope
    if rope.kind == "base":
        return {"position_embedding_type": "rope", "rotary_base": rope.base}
    if rope.kind == "yarn":
        return {
            "position_embedding_type": "yarn",
            "yarn_rotary_scaling_factor": plan.yarn_factor,
            "yarn_original_max_position_embeddings": rope.known,
            "yarn_beta_fast": rope.beta_fast,
            "yarn_beta_slow": rope.beta_slow,
            "yarn_mscale": None,  # Megatron then takes 0.1 ln(factor) + 1, as transformers does
            "yarn_mscale_all_dim": None,
            "yarn_correction_range_round_to_int": True,
        }
    return {}


def _chats(plan: Plan, release: str) -> Any:
    """The dataset of chats: packed by the library, so that a step holds as many tokens as the plan says."""
    shared: dict[str, Any] = {
        "dataset_root": str(plan.chats),
        "seq_length": plan.sequence,
        "seed": plan.settings.seed,
        "num_workers": plan.settings.workers,
        "do_test": False,
    }
    tensor = plan.tensor if plan.tensor > 1 else 1
    multiple = 2 * plan.context * tensor if plan.context > 1 else tensor
    if release == "0.3":
        from megatron.bridge.data.datasets.packed_sequence import PackedSequenceSpecs
        from megatron.bridge.training.config import FinetuningDatasetConfig

        return FinetuningDatasetConfig(
            **shared,
            dataset_kwargs={"chat": True, "use_hf_tokenizer_chat_template": True, "pad_to_max_length": True},
            packed_sequence_specs=PackedSequenceSpecs(packed_sequence_size=plan.sequence, pad_seq_to_mult=multiple),
        )
    from megatron.bridge.data.builders import ChatSFTPreprocessingConfig, GPTSFTDatasetConfig
    from megatron.bridge.data.packing import PackedSequenceSpecs

    return GPTSFTDatasetConfig(
        **shared,
        preprocessing=ChatSFTPreprocessingConfig(loss_mode="assistant"),
        dataset_kwargs={"pad_to_max_length": True},
        enable_offline_packing=True,
        offline_packing_specs=PackedSequenceSpecs(packed_sequence_size=plan.sequence, pad_seq_to_mult=multiple),
    )


def _apart(plan: Plan) -> Any:
    """The dataset of rows whose documents do not attend to each other."""
    from megatron.bridge.data.builders import GPTSFTDatasetConfig
    from megatron.bridge.data.packing import PackedSequenceSpecs

    fields = apart.dataset(plan)
    specs = PackedSequenceSpecs(**fields.pop("offline_packing_specs"))
    return GPTSFTDatasetConfig(**fields, offline_packing_specs=specs)


def _fits(plan: Plan, model: Any) -> None:
    """The model knows every token of the corpus; `a2a` gives each context rank whole KV heads."""
    size = plan.corpus.manifest["tokenizer"]["vocab_size"]
    if model.vocab_size < size:
        raise LaunchError(
            f"the model knows {model.vocab_size} tokens, and the corpus has {size}", "recipe: that of the base"
        )
    heads = model.num_query_groups or model.num_attention_heads
    if plan.context > 1 and plan.settings.parallel.context_exchange == "a2a" and heads % (plan.context * plan.tensor):
        raise LaunchError(
            f"a2a splits {heads} KV heads over tensor {plan.tensor} x context {plan.context} ranks",
            "parallel: {context_exchange: p2p}",
        )
