"""A sweep says what a run at another bar would say, and how that agrees with a person's marks."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synthkit import api
from synthkit.core.errors import StoreError
from synthkit.inspect.agreement import Agreement, separation, wilson
from synthkit.inspect.judged import judged
from synthkit.inspect.marks import read_marks, write_marks
from synthkit.inspect.sweep import read_settings, sweep
from synthkit.inspect.sweep_text import sweep_text
from tests.cli.conftest import call
from tests.inspect.judge_run import kept, lay_out


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("judged")
    spec = lay_out(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        api.run(spec)
    return spec


@pytest.fixture(autouse=True)
def here(spec: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(spec.parent)


@pytest.mark.parametrize("step", ["judged", "voted"])
def test_what_it_keeps_is_what_a_run_keeps(spec: Path, step: str) -> None:
    run = api.open("runs/judged")
    requests = run.completions.collect().height
    found = sweep(run, step, {"bar": [0.1, 0.4, 0.6, 0.95]})
    assert [point.vars["bar"] for point in found.points] == [0.1, 0.4, 0.5, 0.6, 0.95]
    assert [point.now for point in found.points] == [False, False, True, False, False]
    outside = sum(row["size"] >= 8 for row in run["big"].collect().iter_rows(named=True))
    untouched = {"outside of `when`": outside} if step == "voted" else {}
    assert found.without == untouched
    for point in found.points:
        again = kept(spec, step, bar=point.vars["bar"])
        assert point.kept == len(again) - sum(untouched.values())
    assert run.completions.collect().height == requests
    assert found.judged + sum(untouched.values()) == run.ledger("big")["big"].kept


def test_a_filter_is_swept_by_its_columns(spec: Path) -> None:
    found = sweep(api.open("runs/judged"), "big", {"least": [1, 2, 5]})
    assert [point.kept for point in found.points] == [len(kept(spec, "big", least=n)) for n in (1, 2, 5)]
    assert found.judged == 60


def test_tokens_are_those_of_the_documents_rendered_from_the_kept(spec: Path) -> None:
    run = api.open("runs/judged")
    found = sweep(run, "judged", {"bar": [0.5]})
    assert not found.tokens_exact
    assert found.points[0].tokens == run["text"].collect()["tokens"].sum()
    assert sweep(run, "voted", {"bar": [0.5]}).points[0].tokens is None


def test_marks_go_out_by_seed_and_come_back(spec: Path, tmp_path: Path) -> None:
    found = judged(api.open("runs/judged"), "judged", ["note", "more", "size"])
    assert write_marks(found, tmp_path / "a.csv", rows=20, seed=0, width=20) == 20
    assert write_marks(found, tmp_path / "b.csv", rows=10, seed=0, width=500) == 10
    assert write_marks(found, tmp_path / "c.csv", rows=10, seed=1, width=500) == 10
    a, b, c = ([*csv.DictReader((tmp_path / f"{n}.csv").read_text("utf-8-sig").splitlines())] for n in "abc")
    assert [row["row"] for row in a][:10] == [row["row"] for row in b] != [row["row"] for row in c]
    assert list(a[0]) == ["row", "mark", "note", "size", "more"], "neither scores nor decision"
    assert all(len(row["note"]) <= 20 and row["note"].endswith("...") for row in a)
    assert {row.kept for row in found.rows if row.id in {each["row"] for each in a}} == {True, False}
    with pytest.raises(StoreError, match="there already"):
        write_marks(found, tmp_path / "a.csv", rows=1, seed=0, width=20)


def test_precision_recall_and_kappa_are_those_of_the_marks(spec: Path, tmp_path: Path) -> None:
    run = api.open("runs/judged")
    rows = judged(run, "judged").rows
    marks = {row.id: row.scores["clear"] >= 0.7 for row in rows[::2]} | {"0" * 32: True}
    found = sweep(run, "judged", {"bar": [0.3, 0.7]}, marks)
    assert (found.marked, found.strangers) == (len(rows[::2]), 1)
    assert found.separations["clear"] == 1.0
    assert 0 < found.separations["sound"] < 1
    for point in found.points:
        kept_rows = {row.id for row in rows if row.kept_by(judged(run, "judged").keep, point.vars, None)}
        both = [(row.id in kept_rows, marks[row.id]) for row in rows[::2]]
        assert point.marks is not None
        assert point.marks.precision == pytest.approx(both.count((True, True)) / sum(k for k, _ in both))
        assert point.marks.recall == pytest.approx(both.count((True, True)) / sum(good for _, good in both))
    assert found.points[-1].marks.precision == 1.0  # type: ignore[union-attr]
    text = sweep_text(found)
    assert "1 marks name rows that the step has not judged" in text and "as run" in text
    with pytest.raises(StoreError, match="none of the 1 marks"):
        sweep(run, "judged", {"bar": [0.3]}, {"x": True})


def test_marks_are_read_however_a_spreadsheet_writes_them(tmp_path: Path) -> None:
    file = tmp_path / "m.csv"
    file.write_text("\ufeffrow;mark;note\na;Yes;x\nb;0;y\nc;;z\nd;对;z\n", encoding="utf-8")
    assert read_marks(file) == {"a": True, "b": False, "d": True}
    file.write_text('row,mark,note\na,1,"two\nlines"\nb,0,x\n')
    assert read_marks(file) == {"a": True, "b": False}
    file.write_text("row,mark\na,perhaps\n")
    with pytest.raises(StoreError, match="row a: 'perhaps' is no mark"):
        read_marks(file)
    file.write_text("id,mark\na,1\n")
    with pytest.raises(StoreError, match="has no column 'row'; its columns: id, mark"):
        read_marks(file)


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("0.3..0.9", [0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]),
        ("0..1", [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0]),
        ("0.5..0.7/0.05", [0.5, 0.55, 0.6, 0.65, 0.7]),
        ("1..6", [1, 2, 3, 4, 5, 6]),
        ("0.5,0.9", [0.5, 0.9]),
        ("en,zh", ["en", "zh"]),
    ],
)
def test_ranges_and_lists(text: str, values: list[object]) -> None:
    assert read_settings([f"vars.x={text}"]) == {"x": values}


@pytest.mark.parametrize(
    ("step", "settings", "said"),
    [
        ("judged", {"other": [1]}, r"no expression of 'judged' reads vars\.other; they read bar"),
        ("judged", {"bat": [1]}, "there is no variable 'bat'"),
        ("text", {"bar": [1]}, "'text' is a render, which decides by no expression; those that do: big, judged, voted"),
        ("judge", {"bar": [1]}, "judge"),
        ("judged", {"bar": list(range(1001))}, "1,001 combinations are too many"),
    ],
)
def test_what_cannot_be_swept_is_told(step: str, settings: dict[str, list[int]], said: str) -> None:
    with pytest.raises(StoreError, match=said):
        sweep(api.open("runs/judged"), step, settings)


def test_the_command(spec: Path, tmp_path: Path) -> None:
    done = call("sweep", "runs/judged", "judged", "--marks", str(tmp_path / "m.csv"), "--rows", "12")
    assert done.code == 0 and "12 rows" in done.out
    text = (tmp_path / "m.csv").read_text("utf-8-sig")
    (tmp_path / "m.csv").write_text(text.replace(",,note", ",1,note"))
    done = call("sweep", "runs/judged", "judged", "vars.bar=0.3,0.9", "--gold", str(tmp_path / "m.csv"), "--json")
    found = json.loads(done.out)
    assert found["marked"] == found["good"] == 12
    assert [point["vars"]["bar"] for point in found["points"]] == [0.3, 0.5, 0.9]
    assert found["points"][0]["precision"] == 1.0 and found["points"][0]["kappa"] == 0.0
    done = call("sweep", "runs/judged", "judged", "vars.bar=0.3..0.5")
    assert "precision needs marks" in done.out and done.out.count("vars.bar") == 1
    assert call("sweep", "runs/judged", "judged").code == 2
    assert "is not vars.NAME=VALUES" in call("sweep", "runs/judged", "judged", "bar=3").err


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=60))
def test_agreement_is_within_its_bounds(pairs: list[tuple[bool, bool]]) -> None:
    found = Agreement.of([kept for kept, _ in pairs], [good for _, good in pairs])
    assert found.total == len(pairs)
    assert found.kappa is None or -1 <= found.kappa <= 1
    if all(kept == good for kept, good in pairs):
        assert found.kappa in (1.0, None) and found.precision in (1.0, None)
    if found.precision is not None and found.precision_interval is not None:
        low, high = found.precision_interval
        assert 0 <= low <= found.precision + 1e-9 and found.precision <= high + 1e-9 <= 1 + 2e-9


def test_figures_of_agreement_known_from_books() -> None:
    found = Agreement(20, 5, 10, 15)  # Cohen's kappa of the usual worked example
    assert found.kappa == pytest.approx(0.4)
    assert wilson(0, 10) == pytest.approx((0.0, 0.2775), abs=1e-3)
    assert separation([0.1, 0.4, 0.35, 0.8], [False, False, True, True]) == pytest.approx(0.75)
    assert separation([0.5, 0.5], [True, False]) == 0.5
    assert separation([0.5], [True]) is None
