import pytest
from hypothesis import given
from hypothesis import strategies as st

from synthkit.core.expr.figures import figures
from synthkit.core.expr.text import dangling, echoed_in, mentions, overlap

MENTIONS = [
    ("Ada Lovelace wrote it.", "ada lovelace", True),
    ("Ada Lovelace wrote it.", "Love", False),
    ("Ada\n  Lovelace wrote", "Ada Lovelace", True),
    ("In 2015 it began.", "5", False),
    ("In 2015 it began.", "2015", True),
    ("It cost 1.5 million.", "5", False),
    ("It cost 1,240 euros.", "1240", True),
    ("It cost 1240 euros.", "1,240", True),
    ("It cost 3,500 euros.", "500", False),
    ("There were 5, maybe 6.", "5", True),
    ("Curie's notes", "Curie", True),
    ("ＮＡＳＡ launched it", "nasa", True),
    ("Straße des 17. Juni", "STRASSE", True),
    ("他在北京大学任教。", "北京大学", True),
    ("他在NASA工作。", "NASA", True),
    ("他在NASAA工作。", "NASA", False),
    ("成立于2015年。", "2015", True),
    ("成立于2015年。", "15", False),
    ("C++ is a language", "C++", True),
    ("anything", "", False),
    ("anything", [], False),
    ("anything", None, False),
    (None, "x", False),
    (["one", "two three"], ["zero", "Three"], True),
    ("The answer is 42", 42, True),
    ("x", ["   "], False),
]


@pytest.mark.parametrize(("text", "names", "expected"), MENTIONS)
def test_mentions(text, names, expected):
    assert mentions(text, names) is expected


@given(st.lists(st.from_regex(r"[A-Za-z]{2,8}", fullmatch=True), min_size=1, max_size=6), st.data())
def test_every_word_of_a_text_is_mentioned(words, data):
    assert mentions(" ".join(words), data.draw(st.sampled_from(words)).upper())


DANGLING = [
    ("He moved to Paris in 1891.", True),
    ("It was completed in 1889.", True),
    ("This led to a reform.", True),
    ("Their first album sold well.", True),
    ('"She won," the paper wrote.', True),
    ("In 1998, she founded the company.", True),
    ("In the same year, he moved to Paris.", True),
    ("After March 1998 they merged.", True),
    ("After Curie won the prize, she founded a school.", False),
    ("Itaipu is a dam.", False),
    ("Hector moved to Paris.", False),
    ("Thistle grows here.", False),
    ("The bridge was closed because it was unsafe.", False),
    ("In 1998, Larry Page founded the company.", False),
    ("IT spending grew.", False),
    ("IT WAS BUILT IN 1890.", True),
    ("His Majesty's Theatre opened in 1897.", False),
    ("Those who won got medals.", False),
    ("By 1990 its staff had grown.", True),
    ("In Paris he met Gertrude Stein.", False),
    ("It is known that water boils at 100 degrees.", False),
    ("他出生于1890年。", True),
    ("她获得了奖项。", True),
    ("这座桥建于1937年。", True),
    ("该公司成立于2015年。", True),
    ("其总部位于北京。", True),
    ("2015年，他创办了公司。", True),
    ("此后，该桥多次维修。", True),
    ("其他城市也有地铁。", False),
    ("北京是中国的首都。", False),
    ("2015年，小米推出新机。", False),
    ("此外，北京有两座机场。", False),
    ("", False),
]


@pytest.mark.parametrize(("text", "expected"), DANGLING)
def test_dangling(text, expected):
    assert dangling(text) is expected


FIGURES = [
    ("It has 1,240 seats and 1240 lamps.", ["1240"]),
    ("2.50 million people", ["2500000"]),
    ("人口为250万", ["2500000"]),
    ("5 per cent or 5% or ５％", ["5%"]),
    ("on 5 March 2021 and March 5, 2021, that is 2021-03-05", ["2021-03-05"]),
    ("on 2021/03/05", ["2021-03-05"]),
    ("1.5/2", ["1.5", "2"]),
    ("2021年3月5日开业", ["2021-03-05"]),
    ("in March 2021", ["2021-03"]),
    ("2021年3月", ["2021-03"]),
    ("in 2021", ["2021"]),
    ("from 1990–1995", ["1990", "1995"]),
    ("the Airbus A320 and B-52", ["52"]),
    ("3.0 km and 03 m", ["3"]),
    ("-5 degrees, 10-20 mm", ["-5", "10", "20"]),
    ("1.2 billion dollars", ["1200000000"]),
    ("4,222k or 4222 thousand", ["4222000"]),
    ("3千万人, 2百万人, 1.5万亿元", ["1500000000000", "2000000", "30000000"]),
    ("no figures", []),
    (None, []),
    (["1 and 2", "2 and 3"], ["1", "2", "3"]),
]  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), FIGURES)
def test_figures(text, expected):
    assert figures(text) == expected


@given(st.lists(st.integers(0, 10**9), max_size=5))
def test_figures_do_not_depend_on_the_form(numbers):
    plain = " and ".join(str(n) for n in numbers)
    grouped = " and ".join(f"{n:,}" for n in reversed(numbers))
    assert figures(plain) == figures(grouped) == sorted({str(n) for n in numbers})


def test_overlap_is_a_share_of_the_first_text():
    assert overlap("first program", "Who wrote the FIRST program?") == 1.0
    assert overlap("first woman programmer history", "the first programmer") == 0.5
    assert overlap("北京大学", "他在北京大学任教") == 1.0
    assert overlap("北京大学", "北京") == pytest.approx(1 / 3)
    assert overlap("", "x") == 0.0
    assert overlap(["a b", "c"], "c b") == pytest.approx(2 / 3)


@given(
    st.lists(st.sampled_from(["ab", "cd", "ef", "gh", "ij"]), max_size=8),
    st.lists(st.sampled_from(["ab", "cd", "xx"]), max_size=8),
)
def test_overlap_does_not_depend_on_order(one, other):
    assert overlap(one, other) == overlap(one[::-1], other[::-1]) == overlap(" ".join(one), " ".join(other))
    assert 0 <= overlap(one, other) <= 1


def test_echoed_in_needs_the_figures():
    statement = "Ada Lovelace published 7 notes in 1843."
    assert echoed_in(statement, "In 1843, 7 notes were published by Ada Lovelace.")
    assert not echoed_in(statement, "Ada Lovelace published notes in 1843.")
    assert not echoed_in(statement, "In 1843 there were 7 ships.")
