"""Figures of decisions on made-up rows: chance is told from a giveaway, and nothing where nothing was chosen."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synthkit.core.ids import digest
from synthkit.inspect.choices import chi_square_p, collapsed, length_auc, position_p

WORDS = ("harbour", "bridge", "river", "market", "tower", "council", "lamp", "canal", "road", "mill")


def text(random: Random, more: int = 0) -> str:
    return " ".join(random.choice(WORDS) for _ in range(random.randint(2, 9) + more))


def option(said: str, thought: str | None = None) -> dict[str, Any]:
    call = {"name": "search", "arguments": f'{{"query":["{said}"]}}', "final": None, "say": None, "text": said}
    return {"thought": thought, "call": call}


def rows(
    count: int, seed: int, *, place: Callable[[Random, int], int] | None = None, more: int = 0
) -> list[dict[str, Any]]:
    """Decisions of two to five options; `more` words in all but the real one, which stands where `place` says."""
    random = Random(seed)
    found = []
    for number in range(count):
        size = random.randint(2, 5)
        real = random.randrange(size) if place is None else place(random, size)
        options = [option(text(random, 0 if at == real else more)) for at in range(size)]
        found.append({"_id": digest([seed, number]), "options": options, "chosen": str(real + 1), "variety": 0.5})
    return found


@given(st.integers(1, 300), st.floats(0, 900))
def test_the_chance_of_a_chi_square_is_that_of_scipy(freedom: int, statistic: float) -> None:
    stats = pytest.importorskip("scipy.stats")
    assert chi_square_p(statistic, freedom) == pytest.approx(stats.chi2.sf(statistic, freedom), rel=1e-6, abs=1e-12)


def test_known_chances() -> None:
    assert chi_square_p(0, 3) == 1
    assert chi_square_p(3.841458820694124, 1) == pytest.approx(0.05)
    assert chi_square_p(11.344866730144373, 3) == pytest.approx(0.01)


def test_an_even_shuffle_passes_as_often_as_it_should() -> None:
    found = [position_p(rows(300, seed)) or 0 for seed in range(200)]
    assert sum(p < 0.1 for p in found) == pytest.approx(20, abs=12)
    assert sum(p < 0.5 for p in found) == pytest.approx(100, abs=25)


@pytest.mark.parametrize(
    "place",
    [
        lambda random, size: 0 if random.random() < 0.2 else random.randrange(size),
        lambda random, size: size - 1 if random.random() < 0.2 else random.randrange(size),
        lambda random, size: random.randrange(size - 1) if size > 2 else random.randrange(size),
    ],
    ids=["first", "last", "never the last"],
)
def test_a_favourite_place_is_found(place: Callable[[Random, int], int]) -> None:
    for seed in range(5):
        found = position_p(rows(500, seed, place=place))
        assert found is not None
        assert found < 0.01


def test_looks_that_tell_nothing_come_to_a_half_and_others_do_not() -> None:
    for seed in range(5):
        assert length_auc(rows(1000, seed)) == pytest.approx(0.5, abs=0.05)
        assert (length_auc(rows(500, seed, more=1)) or 0) > 0.57
        assert (length_auc(rows(500, seed, more=4)) or 0) > 0.8


@pytest.mark.parametrize(
    "real",
    [
        lambda said: option(said.title()),
        lambda said: option(f"{said}?"),
        lambda said: option(said.replace("a", "å")),
        lambda said: option(said, "\n".join(said.split())),
        lambda said: option(f"{said} 1999"),
    ],
    ids=["capitals", "marks", "script", "lines", "digits"],
)
def test_a_style_of_its_own_gives_the_real_one_away_at_equal_length(real: Callable[[str], dict[str, Any]]) -> None:
    made = rows(200, 1)
    for row in made:
        said = row["options"][0]["call"]["text"]
        row["options"] = [real(said) if at == int(row["chosen"]) else option(f"{said} x") for at in range(1, 5)]
    assert (length_auc([row for row in made if int(row["chosen"]) < 5]) or 0) > 0.95


def test_the_figure_does_not_depend_on_the_order_of_rows() -> None:
    made = rows(300, 3)
    assert length_auc(made[::-1]) == pytest.approx(length_auc(made) or 0, abs=1e-9)
    assert position_p(made[::-1]) == position_p(made)


def test_rows_without_a_choice_do_not_count() -> None:
    nothing = {"_id": digest("x"), "options": None, "chosen": None, "variety": None}
    for figure in (position_p, length_auc, collapsed):
        assert figure([]) is None
        assert figure([nothing]) is None
        made = rows(60, 2)
        assert figure([*made, nothing]) == figure(made)


def test_options_without_text_are_no_error() -> None:
    empty = {"thought": None, "call": {"name": "x", "arguments": None, "final": None, "say": None, "text": ""}}
    made = [{"_id": digest(n), "options": [empty, empty], "chosen": "1", "variety": 0.0} for n in range(20)]
    assert length_auc(made) == 0.5
    assert collapsed(made) == 1.0
