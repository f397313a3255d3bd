"""Recipes: the shipped ones load, bad ones have their exact diagnostic, the editor's schema is current."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from jsonschema import Draft7Validator

from synthkit.core.errors import SpecError
from synthkit.spec.yaml import read_document
from synthkit.train.load import load_recipe
from synthkit.train.prepare import prepare
from synthkit.train.schema import recipe_schema
from tests.conftest import Golden

SHIPPED = Path(__file__).parents[2] / "recipes"
RECIPES = sorted(SHIPPED.glob("*.yaml"))
BAD = Path(__file__).parent / "bad"
FILES = sorted(BAD.glob("*.yaml"))
MISSING = sorted((BAD / "missing").glob("*.yaml"))
NOT_STRUCTURAL = frozenset(
    {
        "chat_and_packs", "chat_split", "context_divides", "dedup_exact", "eod_as_special", "longer", "mask_by_default",
        "mask_in_megatron", "messages_without_chat", "no_share", "no_table", "nothing_learned", "shares",
        "small_budget", "step", "too_much", "twice", "two_origins",
    }
)  # fmt: skip


def test_there_are_enough() -> None:
    assert len(FILES) >= 24
    assert {path.stem for path in RECIPES} == {"agentic_cpt_stage1", "agentic_cpt_stage2", "nano", "sft"}


@pytest.mark.parametrize("file", RECIPES, ids=lambda file: file.stem)
def test_shipped_recipes_load(file: Path) -> None:
    loaded = load_recipe(file)
    assert loaded.name == file.stem
    assert loaded.keys.about


def test_the_stages_are_those_of_the_method() -> None:
    one, two = (load_recipe(SHIPPED / f"agentic_cpt_stage{n}.yaml") for n in (1, 2))
    assert (one.keys.sequence, one.keys.budget, one.global_batch, one.iterations) == (32768, 200 * 10**9, 128, 47_684)
    assert (two.keys.sequence, two.keys.budget, two.global_batch, two.iterations) == (131072, 10**11, 32, 23_842)


@pytest.mark.parametrize("file", [*FILES, *MISSING], ids=lambda file: file.stem)
def test_diagnostic(file: Path, golden: Golden, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(file.parent)
    with pytest.raises(SpecError) as caught:
        prepare(Path(file.name))
    assert caught.value.exit_code == 2
    assert all(problem.mark is not None for problem in caught.value.problems)
    golden(str(caught.value).replace(str(Path.cwd()), "<here>"), file.with_suffix(".txt"))


def test_the_schema_is_committed_as_generated(golden: Golden) -> None:
    golden(json.dumps(recipe_schema(), indent=2, ensure_ascii=False), SHIPPED / "recipe.schema.json")


@pytest.mark.parametrize("file", [*RECIPES, *FILES], ids=lambda file: file.stem)
def test_the_schema_is_true_to_the_loader(file: Path) -> None:
    Draft7Validator.check_schema(recipe_schema())
    try:
        value = read_document(file).value
    except SpecError:
        return
    valid = Draft7Validator(recipe_schema()).is_valid(value)
    assert valid == (file in RECIPES or file.stem in NOT_STRUCTURAL)


def test_every_key_is_described() -> None:
    schema = recipe_schema()
    for each in (schema, *schema["definitions"].values()):
        assert all("description" in body for body in each["properties"].values())
