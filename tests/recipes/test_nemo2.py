"""nemo-toolkit 2.7.3 itself: its recipes made, filled, serialised as NeMo-Run sends them, and their parts built.

The trainer's own object asks for a GPU when it is built, so of the trainer the strategy and its numbers are checked.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("nemo_run", reason="nemo-toolkit and nemo-run are not installed: `make test-recipes`")
pytest.importorskip("megatron.core", reason="megatron-core is not installed: `make test-recipes`")

from recipes.nemo.errors import LaunchError
from tests.recipes import stubs
from tests.recipes.conftest import NANO, Planned
from tests.recipes.cpu import one_process

stubs.install()

import fiddle
from nemo_run.core.serialization.zlib_json import ZlibJSONSerializer

from recipes.nemo import nemo2

SETS = {"stage1": (), "stage2": ("rope.known=128",), "sft": ("schedule.warmup=0",)}


@pytest.fixture(scope="module", autouse=True)
def group(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with one_process(tmp_path_factory.mktemp("group")):
        yield


@pytest.mark.parametrize("stage", list(SETS))
def test_a_recipe_holds_the_plan_and_survives_the_way_to_a_rank(planned: Planned, stage: str) -> None:
    plan = planned(stage, *SETS[stage], library="nemo")
    made = nemo2.config(plan)
    serialiser = ZlibJSONSerializer()
    assert serialiser.deserialize(serialiser.serialize(made)) == made
    strategy = made.trainer.strategy
    assert (strategy.tensor_model_parallel_size, strategy.pipeline_model_parallel_size) == (4, 2)
    assert (strategy.context_parallel_size, strategy.expert_model_parallel_size) == (4, 4)
    assert (made.trainer.max_steps, made.trainer.num_nodes, made.trainer.devices) == (plan.iterations, 4, 8)
    assert made.resume.restore_config.path == str(plan.checkpoint.resolve())
    assert made.data.tokenizer.pretrained_model_name == str(NANO)  # without it: GPT-2's
    assert made.optim.config.lr == plan.settings.schedule.peak
    assert made.log.ckpt.every_n_train_steps == plan.settings.save_every
    model = fiddle.build(made.model.config)
    assert model.seq_length == made.data.seq_length == plan.sequence
    assert model.rotary_base == (1_000_000 if stage == "stage1" else 5_000_000)
    assert model.cp_comm_type == "p2p"
    assert model.recompute_granularity == ("full" if stage == "stage1" else "selective")


def test_its_data_reads_one_pack_a_sample(planned: Planned) -> None:
    plan = planned("stage1", library="nemo")
    data = fiddle.build(nemo2.config(plan).data)
    config = data.gpt_dataset_config
    assert (config.create_attention_mask, config.add_extra_token_to_sequence) == (False, False)
    assert config.blend_per_split[0] == plan.train
    data.build(
        trainer_max_steps=20, trainer_val_check_interval=20, trainer_limit_val_batches=32, trainer_limit_test_batches=0
    )
    assert len(data._train_ds) >= 20 * 4
    assert {each._pad_token_id for each in data._train_ds.datasets} == {plan.corpus.manifest["tokenizer"]["pad"]}
    assert set(data._train_ds[0]) == {"dataset_id", "tokens", "labels", "loss_mask", "position_ids"}


def test_chats_keep_their_template(planned: Planned) -> None:
    made = nemo2.config(planned("sft", *SETS["sft"], library="nemo"))
    assert made.tokenizer == "data"
    assert "generation" in made.data.tokenizer.chat_template
    assert made.model.config.calculate_per_token_loss is True
    assert made.trainer.strategy.ddp.average_in_collective is False
    data = fiddle.build(made.data)
    assert Path(data.dataset_root) == Path(made.data.dataset_root)


@pytest.mark.parametrize(
    ("sets", "said"),
    [
        (["rope.kind=yarn", "rope.known=128"], "NeMo 2 has no YaRN"),
        (["schedule.style=linear"], "no linear for NeMo 2"),
        (["overrides={data.creat_mask: 1}"], "overrides: data.creat_mask"),
        (["overrides={dta.seed: 1}"], "there is no section dta"),
    ],
)
def test_what_it_cannot_do_is_refused(planned: Planned, sets: list[str], said: str) -> None:
    with pytest.raises(LaunchError, match=said):
        nemo2.config(planned("stage1", *sets, library="nemo"))


def test_an_override(planned: Planned) -> None:
    made = nemo2.config(planned("stage1", "overrides={model.moe_aux_loss_coeff: 0.01}", library="nemo"))
    assert made.model.config.moe_aux_loss_coeff == 0.01
