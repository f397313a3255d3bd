"""Reasoning, the choice of a replica."""

from __future__ import annotations

from collections import Counter

import pytest

from synthkit.engines.reasoning import split_reasoning
from synthkit.engines.replicas import choose


@pytest.mark.parametrize(
    ("text", "thinking", "finish", "expected"),
    [
        ("<think>\na\n</think>\n\nb", True, "stop", ("b", "a")),
        ("a\n</think>\n\nb", True, "stop", ("b", "a")),
        ("a\n</think>\nb", None, "stop", ("b", "a")),
        ("a</think>b", False, "stop", ("a</think>b", None)),
        ("still thinking", True, "length", ("", "still thinking")),
        ("<think>still", None, "length", ("", "still")),
        ("just a reply", True, "stop", ("just a reply", None)),
        ("just a reply", None, "length", ("just a reply", None)),
    ],
)
def test_split(text: str, thinking: bool | None, finish: str, expected: tuple[str, str | None]) -> None:
    assert split_reasoning(text, thinking, finish) == expected


def test_a_prefix_stays_at_home_until_home_is_busy() -> None:
    home = choose([0, 0, 0], [True] * 3, "static part", 8)
    assert home is not None
    busy = [0, 0, 0]
    busy[home] = 8
    assert choose(busy, [True] * 3, "static part", 8) == home
    busy[home] = 9
    assert choose(busy, [True] * 3, "static part", 8) != home


def test_prefixes_spread_and_the_dead_are_left_out() -> None:
    homes = Counter(choose([0, 0], [True, True], f"prompt {number}", 8) for number in range(200))
    assert min(homes[0], homes[1]) > 60
    assert {choose([0, 0], [False, True], f"prompt {number}", 8) for number in range(20)} == {1}
    assert choose([0, 0], [False, False], "prompt", 8) is None
