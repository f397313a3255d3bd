"""Settings and fields: what a user writes is taken as it stands, or refused with the place and the nearest name."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from recipes.nemo import fields, settings
from recipes.nemo.errors import LaunchError
from tests.recipes.conftest import STAGES


@pytest.mark.parametrize("stage", ["stage1", "stage2", "sft"])
def test_shipped_settings_load(stage: str) -> None:
    made = settings.load(STAGES / f"{stage}.yaml")
    assert made.stage == ("sft" if stage == "sft" else "pretrain")
    assert made.launch.slurm is not None


def test_a_value_on_the_command_line_stands_above_the_file() -> None:
    made = settings.load(STAGES / "stage1.yaml", ["launch.nodes=16", "schedule.peak=1.0e-5", "launch.slurm=null"])
    assert (made.launch.nodes, made.schedule.peak, made.launch.slurm) == (16, 1e-5, None)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("rope.kindd=base", "rope.kindd is no setting\n  help: did you mean 'kind'?"),
        ("launch.slurm.acount=x", "launch.slurm.acount is no setting\n  help: did you mean 'account'?"),
        ("sequence=4096", "sequence is no setting\n  help: there are: base, chat_template, checkpoint,"),
        ("launch.nodes=0", "launch.nodes Input should be greater than or equal to 1"),
        ("launch.nodes=four", "launch.nodes Input should be a valid integer"),
        ("schedule.style=WSD", "schedule Value error, WSD needs `decay`"),
        ("schedule.final=1.0", "`final` is above `peak`"),
        ("launch", "--set launch is no name=value"),
        ("name.first=x", "name is no mapping"),
        ("launch.env={a: 1", "{a: 1 is no YAML: "),
    ],
)
def test_what_is_wrong_is_said(given: str, said: str) -> None:
    with pytest.raises(LaunchError) as error:
        settings.load(STAGES / "stage1.yaml", [given])
    assert said in str(error.value)


@pytest.mark.parametrize("text", ["- a list", "a: [", ""])
def test_a_file_that_is_no_mapping(tmp_path: Path, text: str) -> None:
    (tmp_path / "bad.yaml").write_text(text)
    with pytest.raises(LaunchError, match=r"bad\.yaml"):
        settings.load(tmp_path / "bad.yaml")
    with pytest.raises(LaunchError, match="none"):
        settings.load(tmp_path / "none.yaml")


@dataclass
class Dataset:
    create_attention_mask: bool = True


@dataclass
class Container:
    dataset: Dataset = field(default_factory=Dataset)
    peft: Dataset | None = None


def test_a_known_field_is_set() -> None:
    made = Container()
    fields.put(made, {"dataset": {"create_attention_mask": False}})
    assert made.dataset.create_attention_mask is False


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"dataset": {"create_atention_mask": False}}, "did you mean 'create_attention_mask'?"),
        ({"datasets": {}}, "did you mean 'dataset'?"),
        ({"peft": {"dim": 8}}, "Container has no section peft"),
    ],
)
def test_an_unknown_field_is_refused(values: fields.Values, said: str) -> None:
    with pytest.raises(LaunchError) as error:
        fields.put(Container(), values)
    assert said in str(error.value)


def test_sections_of_flat_names() -> None:
    assert fields.sections({"model.a": 1, "model.b": 2, "ddp.c": 3}) == {"model": {"a": 1, "b": 2}, "ddp": {"c": 3}}
    for name in ("a", "a.b.c"):
        with pytest.raises(LaunchError, match=r"no section\.field"):
            fields.sections({name: 1})
