"""The traps of a launch, each sprung once: what is said, and what the sound plan holds instead. No trainer's library
is needed."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pyarrow.parquet as pq
import pytest

from recipes.nemo import apart, bridge, corpus, plan, settings
from recipes.nemo.errors import LaunchError
from tests.recipes.conftest import STAGES, Planned


@pytest.mark.parametrize(
    ("sets", "said"),
    [
        (["checkpoint=nowhere"], "checkpoint nowhere is no folder"),
        (["checkpoint=recipes"], "checkpoint recipes holds none of latest_train_state.pt"),
        (["checkpoint=null"], "training would begin with random weights"),
        (["parallel.context=3"], "a sequence of 512 does not divide by 2 x 3 context ranks"),
        (["parallel.context=8", "launch.nodes=5"], "40 GPUs do not divide by 64"),
        (["launch.nodes=3", "parallel.tensor=3", "parallel.pipeline=1"], "24 GPUs do not divide by expert"),
        (["launch.nodes=40"], "a batch of 4 does not divide by 10 replicas"),
        (["rope.known=256"], "sequences of 512 go beyond the 256 positions that the base knows"),
        (["rope.kind=yarn"], "yarn stretches nothing"),
        (["schedule.warmup=20"], "a warm-up of 20 iterations, and the budget makes 20"),
        (["schedule.style=WSD", "schedule.decay=21"], "a decay of 21 iterations"),
    ],
)
def test_what_would_waste_the_clusters_time_is_refused(planned: Planned, sets: list[str], said: str) -> None:
    sets = ["parallel.expert=5", *sets] if "expert" in said else sets
    with pytest.raises(LaunchError) as error:
        planned("stage1", *sets)
    assert said in str(error.value)


@pytest.mark.parametrize(
    ("sets", "library", "said"),
    [
        ([], "bridge", "documents apart and 4 context ranks"),
        (["parallel.context=1"], "nemo", "NeMo 2 reads no packed Parquet"),
    ],
)
def test_documents_apart_where_they_cannot_be(
    planned: Planned, checkpoint: Path, sets: list[str], library: plan.Library, said: str
) -> None:
    with pytest.raises(LaunchError) as error:
        planned("stage1", "documents=apart", *sets, library=library)
    assert said in str(error.value)


def test_documents_apart(planned: Planned, exported: Path, tmp_path: Path) -> None:
    made = planned("stage1", "documents=apart", "parallel.context=1")
    assert made.apart and made.validated and made.train is None
    given = apart.dataset(made)
    specs = given["offline_packing_specs"]
    for split, spec in (("train", specs["packed_train_data_path"]), ("valid", specs["packed_val_data_path"])):
        assert Path(spec).parent == (exported / "packed").resolve() and Path(spec).name == f"{split}-*.idx.parquet"
        rows = sum(pq.read_metadata(file).num_rows for file in Path(spec).parent.glob(Path(spec).name))
        assert rows >= (made.iterations - 1) * made.global_batch if split == "train" else rows > 0
    with pytest.raises(LaunchError, match=r"Bridge 0\.3 reads no packed Parquet"):
        bridge.values(made, "0.3")
    copy = tmp_path / "copy"
    shutil.copytree(exported, copy)
    shutil.rmtree(copy / "packed")
    with pytest.raises(LaunchError, match="holds no packed Parquet"):
        corpus.read(copy, "pretrain", "apart")


def test_a_sound_plan(planned: Planned) -> None:
    made = planned("stage1")
    assert (made.iterations, made.global_batch, made.tensor, made.context) == (20, 4, 4, 4)
    assert made.train is not None
    assert sum(made.train[1]) == pytest.approx(1)
    assert all(Path(f"{prefix}.bin").is_file() for prefix in made.train[0])


@pytest.mark.parametrize(("stage", "sequence", "budget", "batch", "iterations"), [
    ("stage1", 32768, 200_000_000_000, 128, 47_684),
    ("stage2", 131072, 100_000_000_000, 32, 23_842),
])  # fmt: skip
def test_the_missions_iterations(
    exported: Path, checkpoint: Path, stage: str, sequence: int, budget: int, batch: int, iterations: int
) -> None:
    manifest = json.loads((exported / "manifest.json").read_text())
    manifest |= {"sequence": sequence, "budget": budget, "global_batch": batch}
    manifest["train"] = {
        "checkpoint": str(checkpoint),
        "tensor": 4,
        "pipeline": 2,
        "context": sequence // 4096,
        "expert": 4,
    }
    large = _Unread(exported, manifest)
    made = plan.make(settings.load(STAGES / f"{stage}.yaml"), large, "bridge")
    assert made.iterations == iterations
    assert made.iterations * made.global_batch * sequence >= budget
    values = bridge.values(made, "0.3")
    assert values["train"]["train_iters"] == values["scheduler"]["lr_decay_iters"] == iterations
    assert values["model"]["seq_length"] == values["dataset"]["sequence_length"] == sequence


class _Unread(corpus.Corpus):
    """A corpus of the mission's size, of which only the manifest is there."""

    def short(self, iterations: int, batch: int) -> list[str]:  # type: ignore[override]
        return []


def test_too_few_tokens(planned: Planned) -> None:
    made = planned("stage1")
    few = json.loads(json.dumps(dict(made.corpus.manifest)))
    few["budget"] = 40_000_000
    said = r"too few tokens for 19532 iterations; world: 19 packs would be seen \d+\.\d times, and its repeat is 30"
    with pytest.raises(LaunchError, match=said):
        plan.make(made.settings, replace(made.corpus, manifest=few), "bridge")


@pytest.mark.parametrize("kind", ["base", "yarn"])
def test_128k_by_a_new_base_or_by_yarn(planned: Planned, kind: str) -> None:
    made = planned("stage2", f"rope.kind={kind}", "rope.known=128")
    model = bridge.values(made, "0.3")["model"]
    if kind == "base":
        assert (model["position_embedding_type"], model["rotary_base"]) == ("rope", 5_000_000)
    else:
        assert (model["position_embedding_type"], model["yarn_rotary_scaling_factor"]) == ("yarn", 4.0)
        assert {"yarn_mscale", "yarn_mscale_all_dim", "yarn_correction_range_round_to_int"} <= set(model)


@pytest.mark.parametrize("release", ["0.3", "0.6"])
def test_what_no_recipe_of_the_library_sets(planned: Planned, release: str) -> None:
    values = bridge.values(planned("stage1"), release)
    data = values["dataset"]
    assert data["create_attention_mask"] is False
    assert data["add_extra_token_to_sequence"] is False
    assert data["eod_mask_loss"] is True
    assert data["blend"] is None
    assert data["split"] is None
    (train, weights), (valid, _), test = data["blend_per_split"]
    assert len(train) == len(weights) == 2
    assert all(each.endswith("_valid") for each in valid)
    assert test is None
    steps = values["train"] if release == "0.3" else values["validation"]
    assert steps["eval_iters"] > 0


def test_chats_on_context_ranks(planned: Planned) -> None:
    values = bridge.values(planned("sft"), "0.3")
    assert values["model"]["calculate_per_token_loss"] is True
    assert values["ddp"]["average_in_collective"] is False
    assert "dataset" not in values


def test_an_override_of_the_users_own(planned: Planned) -> None:
    values = bridge.values(planned("stage1", "overrides={model.moe_aux_loss_coeff: 0.01, ddp.bucket_size: 4}"), "0.3")
    assert values["model"]["moe_aux_loss_coeff"] == 0.01
    assert values["ddp"] == {"bucket_size": 4}


@pytest.mark.parametrize(
    ("blend", "said"),
    [
        ({"train": [["megatron/world_train"], [0.5, 0.5]]}, "no .prefixes, weights. of one length"),
        ({"train": [["megatron/world_train", 0.2], ["megatron/cities_train", 0.8], []]}, "no .prefixes, weights."),
        ({"train": [["megatron/world_train"], [0.9]]}, "must be above 0 and sum to 1"),
        ({"train": [["megatron/other"], [1.0]]}, "other.idx is missing"),
        ({"train": [[], []]}, "holds no pack to train on"),
        ({}, "train is no"),
    ],
)
def test_a_blend_of_another_shape(exported: Path, tmp_path: Path, blend: dict[str, object], said: str) -> None:
    copy = shutil.copytree(exported, tmp_path / "copy")
    (copy / "megatron" / "blend.json").write_text(json.dumps({"valid": [[], []], **blend}))
    with pytest.raises(LaunchError, match=said):
        corpus.read(copy, "pretrain")


def test_files_that_are_no_packs(exported: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(exported, tmp_path / "copy")
    data = copy / "megatron" / "world_train.bin"
    data.write_bytes(data.read_bytes()[:-4])
    with pytest.raises(LaunchError, match="and its index says"):
        corpus.read(copy, "pretrain")
    index = copy / "megatron" / "world_train.idx"
    content = bytearray(index.read_bytes())
    content[34] ^= 1  # the first length
    index.write_bytes(bytes(content))
    with pytest.raises(LaunchError, match="is not made of packs of 512 int32 tokens"):
        corpus.read(copy, "pretrain")
    index.write_bytes(bytes(content[:20]))
    with pytest.raises(LaunchError, match="is cut off"):
        corpus.read(copy, "pretrain")
    index.write_bytes(b"something else")
    with pytest.raises(LaunchError, match="is no index of Megatron's"):
        corpus.read(copy, "pretrain")
    (copy / "manifest.json").unlink()
    with pytest.raises(LaunchError, match=r"manifest\.json is missing"):
        corpus.read(copy, "pretrain")
    with pytest.raises(LaunchError, match=r"format 2|manifest"):
        (copy / "manifest.json").write_text('{"format": 2}')
        corpus.read(copy, "pretrain")


def tokens(eod: int, pad: int | None, size: int = 151_669) -> SimpleNamespace:
    made = SimpleNamespace(eos_token_id=eod, pad_token_id=pad)
    return type("Tokens", (SimpleNamespace,), {"__len__": lambda _: size})(**vars(made))


@pytest.mark.parametrize(
    ("tokenizer", "said"),
    [
        (tokens(151643, 151643), None),
        (tokens(151643, None), None),
        (tokens(151645, 151643), "ends documents with 151645, and the corpus with 151643"),
        (tokens(151643, 151645), "Megatron masks 151645, and the packs are filled with -1"),
        (tokens(151643, 151643, 1000), "has 1000 tokens, and the corpus 151669"),
    ],
)
def test_the_base_models_tokenizer_and_no_other(planned: Planned, tokenizer: SimpleNamespace, said: str | None) -> None:
    made = planned("stage1")
    qwen = {"name": "Qwen/Qwen3-30B-A3B-Base", "eod": 151643, "pad": -1, "pad_token": 151643, "vocab_size": 151_669}
    made = replace(made, corpus=replace(made.corpus, manifest={**made.corpus.manifest, "tokenizer": qwen}))
    if said is None:
        plan.tokenizer_agrees(made, tokenizer)
        return
    with pytest.raises(LaunchError, match=said):
        plan.tokenizer_agrees(made, tokenizer)


def test_a_template_that_marks_no_turn(planned: Planned) -> None:
    plain = SimpleNamespace(chat_template="{% if add_generation_prompt %}x{% endif %}")
    with pytest.raises(LaunchError, match="does not mark the assistant's turns"):
        plan.template(planned("sft", "chat_template=null"), plain)
    marked = SimpleNamespace(chat_template="{% generation %}x{% endgeneration %}")
    assert plan.template(planned("sft", "chat_template=null"), marked) is None
    assert "generation" in (plan.template(planned("sft"), plain) or "")


def test_steps_of_chats_are_of_chats_where_nothing_packs_them(planned: Planned, chats: Path) -> None:
    lines = (chats / "chat" / "training.jsonl").read_text().count("\n")
    sets = ("schedule.warmup=0",)
    assert planned("sft", *sets, library="nemo").iterations == -(-lines // 4)
    assert planned("sft", *sets).iterations == 5
