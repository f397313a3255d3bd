"""A corpus exported by the real exporter, and settings that train nano's tokenizer on it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from recipes.nemo import corpus, plan, settings
from synthkit.cli import cli

ROOT = Path(__file__).parents[2]
NANO = ROOT / "examples" / "nano" / "model"
STAGES = ROOT / "recipes" / "nemo"

CORPUS = """
name: two
tokenizer: nano
sequence: 512
budget: 40K
tokens_per_step: 2Ki
seed: 1
holdout: 5%
sources:
  world:  {path: "shipped:documents/[d-z]*.jsonl", share: 70%, repeat: 30, over: split}
  cities: {path: "shipped:documents/c*.jsonl", share: 30%, repeat: 30, over: split}
outputs: [megatron, packed]
train: {tensor: 4, pipeline: 2, context: 4, expert: 4}
"""

CHATS = """
name: chats
tokenizer: nano
sequence: 512
budget: 10K
seed: 1
holdout: 20%
sources:
  chats: {path: "shipped:trajectories/chats/*.jsonl", messages: messages, share: 100%, repeat: 30}
outputs: [chat]
train: {tensor: 4, pipeline: 2, context: 4, expert: 4}
"""


def export(text: str, folder: Path) -> Path:
    """The folder that `synthkit export` writes from a recipe."""
    (folder / "recipe.yaml").write_text(text, encoding="utf-8")
    out = folder / "out"
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        cli(["export", str(folder / "recipe.yaml"), "--out", str(out)], standalone_mode=False)
    return out


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Packs of two sources, 46 of 512 tokens to train on."""
    return export(CORPUS, tmp_path_factory.mktemp("corpus"))


@pytest.fixture(scope="session")
def chats(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Chats as JSON lines."""
    return export(CHATS, tmp_path_factory.mktemp("chats"))


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What both libraries take for a checkpoint's folder by its looks."""
    folder = tmp_path_factory.mktemp("checkpoint")
    (folder / "latest_checkpointed_iteration.txt").write_text("0")
    (folder / "weights").mkdir()
    return folder


Planned = Callable[..., plan.Plan]


@pytest.fixture
def planned(exported: Path, chats: Path, checkpoint: Path, tmp_path: Path) -> Planned:
    """`planned("stage1", "rope.kind=base")`: a shipped file of settings on the small corpus, on 32 GPUs."""

    def make(stage: str, *sets: str, library: plan.Library = "bridge") -> plan.Plan:
        fitting = [f"base={NANO}", f"checkpoint={checkpoint}", f"output={tmp_path / 'train'}"]
        fitting += ["launch.nodes=4", "schedule.warmup=2", *(["global_batch=4"] if stage == "sft" else [])]
        made = settings.load(STAGES / f"{stage}.yaml", [*fitting, *sets])
        return plan.make(made, corpus.read(chats if stage == "sft" else exported, made.stage, made.documents), library)

    return make
