"""What fits a terminal, and what may be shown on one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from synthkit.core.store import StepCounts
from synthkit.inspect.text import cut, folded, ledger_table, printable, width

LEDGER = {
    "documents": StepCounts(input=72, kept=72, output=72),
    "claims": StepCounts(
        input=127, kept=100, filtered=4, duplicate=3, failed=9, unused=10, pending=1, output=386,
        asked=127, accepted=114, rejected=13,
        reasons={"over quota": 10, "truncated": 9, "not in_source": 4, "duplicate": 3},
    ),
}  # fmt: skip
FIGURES = ["127", "100", "4", "3", "9", "10", "1", "386"]


def test_a_ledger_that_fits_is_one_table() -> None:
    lines = ledger_table(LEDGER, columns=160).splitlines()
    assert lines[0].split() == [
        "step", "input", "kept", "filtered", "duplicate", "failed", "unused", "pending", "rows", "out",
        "asked", "accepted", "rejected", "reasons",
    ]  # fmt: skip
    assert lines[2].split() == ["claims", *FIGURES, "127", "114", "13", "10", "over", "quota"]
    assert [line.strip() for line in lines[3:]] == ["9 truncated", "4 not in_source", "3 duplicate"]


def test_samples_get_a_table_of_their_own_where_one_is_too_wide() -> None:
    lines = ledger_table(LEDGER, columns=110).splitlines()
    assert lines[2].split() == ["claims", *FIGURES, "10", "over", "quota"]
    assert lines[-2].split() == ["samples", "of", "asked", "accepted", "rejected"]
    assert lines[-1].split() == ["claims", "127", "114", "13"]
    assert max(map(len, lines)) <= 110


def test_reasons_go_below_their_step_where_that_is_too_wide_too() -> None:
    lines = ledger_table(LEDGER, columns=90).splitlines()
    at = next(n for n, line in enumerate(lines) if line.startswith("claims"))
    assert lines[at].split() == ["claims", *FIGURES]
    assert lines[at + 1] == "    10 over quota; 9 truncated; 4 not in_source; 3 duplicate"
    assert max(map(len, lines)) <= 90


def test_the_rarer_reasons_are_one_line_unless_they_are_one() -> None:
    many = {"step": StepCounts(input=10, filtered=10, reasons={f"not {n}": 1 for n in range(5)})}
    assert ledger_table(many).endswith("2 for 2 other reasons")
    few = {"step": StepCounts(input=10, filtered=10, reasons={f"not {n}": 1 for n in range(4)})}
    assert ledger_table(few).endswith("1 not 3")


def test_the_width_is_that_of_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "77")
    assert width() == 77
    monkeypatch.setenv("COLUMNS", "5")
    assert width() == 40, "narrower than anything can be shown in"


def test_a_reply_cannot_move_the_cursor() -> None:
    assert printable("a\x1b[2Jb\rc\u202ed") == "a�[2Jb�c�d"
    kept = "naïve 港口\u3000\u00a0\u200d\ttab\nline"
    assert printable(kept) == kept


def test_folding_keeps_words_whole_and_indents() -> None:
    assert folded("- one two-three four", "  ", "  ", columns=14) == ["  - one", "    two-three", "    four"]
    assert folded("a\n\nb", "> ") == ["> a", "", "> b"]


@given(st.text(max_size=80), st.integers(2, 40))
def test_a_cut_line_fits(text: str, columns: int) -> None:
    line = cut(text, columns)
    assert cell_len(line) <= columns and "\n" not in line
    if not line.endswith("…"):
        assert line == " ".join(printable(text).split())
