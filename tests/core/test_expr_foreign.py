import json
import re
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synthkit.core.expr.figures import figures
from synthkit.core.expr.foreign import foreign_figures
from synthkit.core.resources import shipped

KNOWN = [
    ["The canal opened on 15 August 1914.", "New locks opened in June 2016."],
    "It carried 38,400 vehicles a day in 2022, and 35,900 in 1998; 12.34 % were lorries, of 4,222 thousand in all.",
    None,
]
AT_HOME = [
    "38,400 vehicles",
    "In 2016 new locks opened.",
    "The locks date from June 2016, the canal from August 1914.",
    "The 15th of August",
    "In the 1910s and in the 20th century",
    "20世纪10年代",
    "38,400 - 35,900 = 2,500",
    "38,400 and 35,900 make 74,300, on average 37,150.",
    "From 35,900 to 38,400: 7 % more, or 6.96 %.",
    "Between 1914 and 2016 lie 102 years.",
    "over 4 million, or 4.2 million",
    "about 38,000",
    "about 12 %",
    "1. the canal\n2. the locks\n12) the lorries",
    "3 clues and 2 candidates",
    "4,222,000",
    "4222千",
    "38400 - 35900 = 2500, and 2500 + 38400 = 40900",
    "no figure at all",
    "",
    None,
]
FOREIGN = [
    ("It opened in 1915.", ["1915"]),
    ("In 2016 and 2017", ["2017"]),
    ("On 16 August 1914", ["1914-08-16"]),
    ("In July 2016", ["2016-07"]),
    ("5 June 2016", ["2016-06-05"]),
    ("In the 1970s", ["1970s"]),
    ("in the 19th century", ["19th century"]),
    ("5.1 million", ["5100000"]),
    ("There were 38,900.", ["38900"]),
    ("25 locks", ["25"]),
    ("61 %", ["61%"]),
    ("2,500 more", ["2500"]),  # of what and what, the text must say
    ("共有66座船闸", ["66"]),
    ("9" * 400, ["9" * 400]),
]


@pytest.mark.parametrize("text", AT_HOME)
def test_known_rounded_or_computed(text):
    assert foreign_figures(text, KNOWN) == []


@pytest.mark.parametrize(("text", "found"), FOREIGN)
def test_foreign(text, found):
    assert foreign_figures(text, KNOWN) == found


@given(st.lists(st.one_of(st.integers(0, 10**9), st.dates()).map(str), max_size=8), st.text(max_size=40))
def test_a_text_is_at_home_in_itself(figures, words):
    text = " and ".join([*figures, words])
    assert foreign_figures(text, text) == []
    assert foreign_figures(text, ["", [text], None]) == []


@given(st.lists(st.integers(10, 10**6), min_size=1, max_size=6))
def test_without_anything_known_all_but_single_digits_is_foreign(numbers):
    assert set(foreign_figures(" ".join(map(str, numbers)), "")) == {str(number) for number in numbers}


@given(st.integers(10, 10**6), st.integers(10, 10**6), st.sampled_from(["+", "-"]))
def test_a_calculation_is_followed(a, b, sign):
    result = abs(a + b if sign == "+" else a - b)
    assert foreign_figures(f"{a:,} {sign} {b:,} = {result:,}", f"first {b}, then {a}") == []


def _planted(rng: Random) -> dict[str, str]:
    return {
        "year": str(rng.randint(1850, 2024)),
        "count": str(rng.randint(10, 99)),
        "large": f"{rng.randint(1000, 99999):,}",
        "share": f"{rng.randint(1, 99)} %",
        "date": f"{rng.randint(1850, 2024)}-0{rng.randint(1, 9)}-{rng.randint(10, 28)}",
    }


def test_figures_planted_among_real_sentences_are_found():
    """The shares that the documentation states."""
    rng = Random(1)
    asked: dict[str, list[bool]] = {}
    for file in sorted(shipped("documents").glob("*.jsonl")):
        for line in file.read_text(encoding="utf-8").splitlines():
            stated = [each for each in re.split(r"(?<=[.。])\s*", json.loads(line)["text"]) if figures(each)]
            for _ in range(3 if len(stated) > 2 else 0):
                evidence = rng.sample(stated, rng.randint(1, min(4, len(stated))))
                assert foreign_figures(" ".join(evidence), evidence) == []
                for kind, figure in _planted(rng).items():
                    if not set(figures(figure)) & set(figures(evidence)):
                        found = foreign_figures([*evidence, f"It was {figure} then."], evidence)
                        asked.setdefault(kind, []).append(found == figures(figure))
    shares = {kind: sum(found) / len(found) for kind, found in asked.items()}
    assert min(map(len, asked.values())) > 100
    assert shares["date"] == shares["large"] == 1
    assert shares["year"] > 0.97 and shares["count"] > 0.96 and shares["share"] > 0.9, shares
