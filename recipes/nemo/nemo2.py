"""nemo-toolkit 2.7.3, the last with `nemo.collections.llm`: its recipe as a NeMo-Run configuration, with a plan's
values on it.

Fiddle refuses unknown names by itself. What this library cannot do is refused here: YaRN for Qwen3, learning rates
other than cosine, packed chats (a step has `global_batch` chats of whatever length).
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

import nemo_run as run
from megatron.core.distributed import DistributedDataParallelConfig

from nemo import lightning as nl
from nemo.collections import llm
from nemo.collections.common.tokenizers.huggingface.auto_tokenizer import AutoTokenizer
from recipes.nemo import plan as plans
from recipes.nemo.corpus import Blend
from recipes.nemo.errors import LaunchError
from recipes.nemo.fields import sections
from recipes.nemo.packs import PackDataModule
from recipes.nemo.plan import Plan

_RECIPE = "nemo.collections.llm.recipes.qwen3_30b_a3b"
_VALIDATION_STEPS = 32


def config(plan: Plan) -> run.Partial:
    """`llm.pretrain` or `llm.finetune`, ready for an executor."""
    settings = plan.settings
    if settings.rope.kind == "yarn":
        raise LaunchError("NeMo 2 has no YaRN for this model", "rope: {kind: base}, or Megatron-Bridge")
    if settings.schedule.style != "cosine":
        raise LaunchError(f"these recipes set no {settings.schedule.style} for NeMo 2", "schedule.style: cosine")
    tokenizer = _tokenizer(plan)
    library = import_module(settings.recipe or _RECIPE)
    made = _pretrain(plan, library, tokenizer) if settings.stage == "pretrain" else _finetune(plan, library, tokenizer)
    made.resume = run.Config(
        nl.AutoResume,
        restore_config=run.Config(nl.RestoreConfig, path=str(plan.checkpoint.resolve())),
        resume_if_exists=True,
        resume_ignore_no_checkpoint=True,
    )
    made.log.ckpt.every_n_train_steps = settings.save_every
    made.log.ckpt.train_time_interval = None  # the library takes one of the two
    _model(plan, made)
    _override(made, settings.overrides)
    return made


def _pretrain(plan: Plan, library: Any, tokenizer: run.Config[Any]) -> Any:
    settings, launch = plan.settings, plan.settings.launch
    steps = _VALIDATION_STEPS if plan.valid else 0
    made = library.pretrain_recipe(
        dir=settings.output,
        name=settings.name,
        tensor_parallelism=plan.tensor,
        pipeline_parallelism=plan.pipeline,
        context_parallelism=plan.context,
        expert_parallelism=plan.expert,
        sequence_parallelism=plan.tensor > 1,
        num_nodes=launch.nodes,
        num_gpus_per_node=launch.gpus,
        max_steps=plan.iterations,
        limit_val_batches=steps,
        limit_test_batches=0,
        val_check_interval=min(settings.validate_every, plan.iterations),
        global_batch_size=plan.global_batch,
        micro_batch_size=plan.micro_batch,
        seq_length=plan.sequence,
        warmup_steps=settings.schedule.warmup,
        max_lr=settings.schedule.peak,
        min_lr=settings.schedule.final,
    )
    assert plan.train is not None
    train = _paths(plan.train)
    # The library wants all three; where nothing is held out, no step of validation is made.
    valid = _paths(plan.valid) if plan.valid else train
    made.data = run.Config(
        PackDataModule,
        paths={"train": train, "validation": valid, "test": valid},
        seq_length=plan.sequence,
        global_batch_size=plan.global_batch,
        micro_batch_size=plan.micro_batch,
        tokenizer=tokenizer,
        split=None,
        eod_mask_loss=True,  # as in `bridge.values`, which says why
        seed=settings.seed,
        num_workers=settings.workers,
        index_mapping_dir=f"{settings.output}/index",
    )
    return made


def _finetune(plan: Plan, library: Any, tokenizer: run.Config[Any]) -> Any:
    settings, launch = plan.settings, plan.settings.launch
    made = library.finetune_recipe(
        dir=settings.output,
        name=settings.name,
        num_nodes=launch.nodes,
        num_gpus_per_node=launch.gpus,
        peft_scheme=None,
    )
    strategy = made.trainer.strategy
    strategy.tensor_model_parallel_size = plan.tensor
    strategy.pipeline_model_parallel_size = plan.pipeline
    strategy.context_parallel_size = plan.context
    strategy.expert_model_parallel_size = plan.expert
    strategy.sequence_parallel = plan.tensor > 1
    made.trainer.max_steps = plan.iterations
    made.trainer.val_check_interval = min(settings.validate_every, plan.iterations)
    made.optim.config.lr = settings.schedule.peak
    made.optim.lr_scheduler.min_lr = settings.schedule.final
    made.optim.lr_scheduler.warmup_steps = settings.schedule.warmup
    made.tokenizer = "data"  # the checkpoint's own would come without the template
    strategy.ddp = run.Config(
        DistributedDataParallelConfig,
        check_for_nan_in_grad=True,
        grad_reduce_in_fp32=True,
        average_in_collective=plan.context == 1,  # a rank may hold no token that is learned
    )
    if plan.context > 1:
        made.model.config.calculate_per_token_loss = True
    made.data = run.Config(
        llm.ChatDataModule,
        dataset_root=str(plan.chats),
        seq_length=plan.sequence,
        global_batch_size=plan.global_batch,
        micro_batch_size=plan.micro_batch,
        tokenizer=tokenizer,
        seed=settings.seed,
        num_workers=settings.workers,
        use_hf_tokenizer_chat_template=True,
    )
    return made


def _model(plan: Plan, made: Any) -> None:
    """Sequence, positions and recompute of the model."""
    model, rope = made.model.config, plan.settings.rope
    model.seq_length = plan.sequence
    if rope.kind == "base":
        model.rotary_base = rope.base
    if plan.context > 1:
        model.cp_comm_type = plan.settings.parallel.context_exchange
    kind = plan.settings.recompute
    model.recompute_granularity = None if kind == "none" else kind
    model.recompute_method = "uniform" if kind == "full" else None
    model.recompute_num_layers = 1 if kind == "full" else None
    if kind == "selective":
        model.recompute_modules = ["core_attn"]


def _tokenizer(plan: Plan) -> run.Config[Any]:
    """The base's; without one the library takes GPT-2's, and every token id means something else."""
    from transformers import AutoTokenizer as Hub

    theirs = Hub.from_pretrained(plan.settings.base)
    plans.tokenizer_agrees(plan, theirs)
    made = run.Config(AutoTokenizer, pretrained_model_name=plan.settings.base)
    if plan.settings.stage == "sft":
        made.chat_template = plans.template(plan, theirs)
    return made


def _paths(blend: Blend) -> list[str]:
    """Weights and prefixes in turn, the shape of this library."""
    prefixes, weights = blend
    return [text for prefix, weight in zip(prefixes, weights, strict=True) for text in (repr(weight), prefix)]


def _override(made: Any, overrides: dict[str, Any]) -> None:
    """The user's own, by section."""
    places = {
        "model": made.model.config,
        "trainer": made.trainer,
        "strategy": made.trainer.strategy,
        "optim": made.optim.config,
        "data": made.data,
    }
    for section, fields in sections(overrides).items():
        if section not in places:
            raise LaunchError(f"overrides: there is no section {section}", f"there are: {', '.join(places)}")
        for name, value in fields.items():
            try:
                setattr(places[section], name, value)
            except AttributeError as error:
                raise LaunchError(f"overrides: {section}.{name}: {str(error).splitlines()[0]}") from None
