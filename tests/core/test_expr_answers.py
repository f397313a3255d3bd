from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synthkit.core.expr.answers import same_answer

SAME = [
    ("The Eiffel Tower", "eiffel tower."),
    ("1,240", "1240"),
    ("1,000", "one thousand"),
    ("4,222 thousand", "4222 thousand"),
    ("4,222 thousand", "4.222 million"),
    ("3.0", "3"),
    ("twenty-one", "21"),
    ("5 per cent", "5%"),
    ("5 March 2021", "2021-03-05"),
    ("March 5, 2021", "2021年3月5日"),
    ("2.5 million", "2,500,000"),
    ("R&D", "r and d"),
    ("北京。", "北京"),
    ("《红楼梦》", "红楼梦"),
    ("北京 大学", "北京大学"),
    ("1998年", "1998"),
    ("一九四九年十月一日", "1949-10-01"),
    ("三十二", "32"),
    ("三万五千人", "3.5万人"),
    ("一亿二千万", "120 million"),
    ("ＵＮＥＳＣＯ", "unesco"),
    ("The The", "the the"),
    (42, "42"),
]
APART = [
    ("Paris", "London"),
    ("12 km", "21 km"),
    ("5 km", "5 miles"),
    ("March 2021", "2021-03-05"),
    ("-5", "5"),
    ("5%", "5"),
    ("$5", "€5"),
    ("< 5", "> 5"),
    ("C++", "C#"),
    ("vitamin A", "vitamin"),
    ("3 of 10", "10 of 3"),
    ("1980年代", "1980"),
    ("not Paris", "Paris"),
    ("北京", "北京大学"),
    ("三十二", "三十三"),
    ("", ""),
    (None, ""),
    ("", "?"),
]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_same(one, other):
    assert same_answer(one, other) is True
    assert same_answer(other, one) is True


@pytest.mark.parametrize(("one", "other"), APART)
def test_not_the_same(one, other):
    assert same_answer(one, other) is False
    assert same_answer(other, one) is False


ANSWERS = st.one_of(
    st.text(max_size=30),
    st.sampled_from([each for pair in SAME + APART for each in pair]),
    st.integers(0, 10**9).map(lambda number: f"{number:,}"),
    st.dates().map(str),
    st.text("零一二三十百千万亿年月日", max_size=6),
)


@given(ANSWERS)
def test_every_answer_is_the_same_as_itself(answer):
    assert same_answer(answer, answer) is bool(str("" if answer is None else answer).strip())


@given(ANSWERS, ANSWERS)
def test_both_ways_alike(one, other):
    assert same_answer(one, other) is same_answer(other, one)


@given(st.integers(0, 10**12), st.sampled_from(["people", "人", "", "%"]))
def test_the_form_of_a_number_does_not_matter(number, unit):
    assert same_answer(f"{number:,} {unit}", f"{number}{unit}")


@given(st.integers(0, 9999), st.integers(0, 9999))
def test_other_numbers_are_other_answers(one, other):
    assert same_answer(f"{one} ships", f"{other:,} ships") is (one == other)


@given(st.dates(min_value=date(1000, 1, 1)))
def test_the_form_of_a_date_does_not_matter(day):
    assert same_answer(day.isoformat(), f"{day.day} {day:%B} {day.year}")
    assert same_answer(f"{day:%b} {day.day}, {day.year}", f"{day.year}年{day.month}月{day.day}日")
