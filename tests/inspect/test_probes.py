"""Bribed judges are caught by the audit's bounds, honest ones are not, and chance is nobody's fault."""

from __future__ import annotations

import json
import random
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from synthkit import api
from synthkit.inspect.agreement import beyond_chance, rank_correlation
from synthkit.inspect.probes import length_bias, length_biases, position_bias, position_biases
from tests.cli.conftest import call

REPLIES = """
import json
from hashlib import blake2b
from math import log

from synthkit.core.engine import Sample


def luck(text):
    return int.from_bytes(blake2b(text.encode(), digest_size=4).digest(), "big") / 2**32


def reply(request):
    how, _, text = request.messages[0].content.partition(":")
    options = [line for line in text.splitlines() if line.startswith("- ")]
    longest = 1 + max(range(len(options)), key=lambda n: len(options[n]), default=0)
    if request.labels:
        p = {"long": min(0.98, 0.02 + len(text) / 1500), "first": 0.8, "honest": 0.1 + 0.8 * luck(text)}[how]
        good, bad = request.labels
        return [Sample(good, label_logprobs={good: log(p), bad: log(1 - p)})]
    return json.dumps({"best": {"long": longest, "first": 1, "honest": 1 + int(luck(text) * len(options))}[how]})
"""

SPEC = """
name: bribed
engines: {fake: {scripted: "replies.py:reply"}}
models: {judge: {engine: fake, temperature: 0}}
vars: {how: honest}
steps:
  rows:
    read: {path: rows.jsonl, key: id, columns: {id: str, note: str, options: "[{id: str, text: str}]", kind: a|b}}
  judged:
    from: rows
    judge:
      model: judge
      prompt: judge.j2
      rubric: {good: pass|fail}
      score: logprob
      keep: {good: "p(good) >= 0.5"}
  paired:
    from: rows
    judge: {model: judge, prompt: judge.j2, rubric: {better: a|b}, score: logprob}
  picked:
    from: rows
    generate: {model: judge, prompt: pick.j2, out: {best: ref(options)}}
publish: {picked: {from: picked}}
audit: {judged.length_bias: ..0.3, paired.position_bias: ..0.2, picked.position_bias: ..0.2, picked.length_bias: ..0.2}
"""


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the runs of an honest judge and of two bribed ones."""
    folder = tmp_path_factory.mktemp("bribed")
    rng = random.Random(3)
    rows = [
        {
            "id": f"{n}",
            "note": "x" * rng.randint(20, 1200) + str(n),
            "options": [{"id": f"{n}.{i}", "text": "y" * rng.randint(5, 90)} for i in range(rng.choice([2, 3, 4]))],
            "kind": "a",
        }
        for n in range(200)
    ]
    (folder / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    (folder / "replies.py").write_text(REPLIES)
    (folder / "prompts").mkdir()
    (folder / "prompts/judge.j2").write_text("{{ vars.how }}:{{ note }}\n")
    (folder / "prompts/pick.j2").write_text("{{ vars.how }}:\n{% for o in options %}- {{ o.text }}\n{% endfor %}")
    (folder / "spec.yaml").write_text(SPEC)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for how in ("honest", "long", "first"):
            result = api.run("spec.yaml", sets={"vars.how": how}, out=f"runs/{how}")
            assert result.problems == []
    return folder


@pytest.fixture(autouse=True)
def here(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(runs)


def test_the_audit_lets_an_honest_judge_pass(runs: Path) -> None:
    done = call("audit", "runs/honest")
    assert done.code == 0, done.err
    assert "verdicts against length and place" in done.out


def test_the_audit_catches_a_judge_that_likes_length(runs: Path) -> None:
    done = call("audit", "runs/long")
    assert done.code == 1
    assert "audit: judged.length_bias is " in done.err
    assert "audit: picked.length_bias is 0." in done.err
    assert "picked.position_bias" not in done.err


def test_the_audit_catches_a_judge_that_likes_the_first_place(runs: Path) -> None:
    done = call("audit", "runs/first")
    assert done.code == 1
    assert "audit: paired.position_bias is 0.2" in done.err
    assert "audit: picked.position_bias is 0." in done.err
    assert "judged.length_bias" not in done.err


def test_what_was_measured_is_named(runs: Path) -> None:
    first, long, honest = (api.open(f"runs/{how}") for how in ("first", "long", "honest"))
    most = max(position_biases(first, "picked"), key=lambda each: each.least)
    assert (most.verdict, most.by, most.rows) == ("best", "place 1", 200)
    assert most.measured == pytest.approx(1 - sum(1 / n for n in _sizes(first)) / 200)
    assert 0.5 < most.least < most.measured
    [by_note] = length_biases(long, "judged")
    assert (by_note.verdict, by_note.by, by_note.rows) == ("good", "length of note", 200)
    assert by_note.measured > 0.99
    assert max(length_biases(long, "picked"), key=lambda each: each.least).by == "longest"
    assert position_bias(honest, "judged") is None, "a judge of single texts has no places"
    assert length_bias(honest, "rows") is None
    assert length_bias(honest, "judged") < 0.1  # type: ignore[operator]


def _sizes(run: api.Run) -> list[int]:
    return run["rows"].select(pl.col("options").list.len()).collect()["options"].to_list()


def test_bounds_are_checked_before_the_run(runs: Path) -> None:
    text = (runs / "spec.yaml").read_text()
    (runs / "other.yaml").write_text(text.replace("judged.length_bias", "rows.length_bias"))
    done = call("check", "other.yaml")
    assert done.code == 2 and "'rows' has no figure 'length_bias'" in done.err


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=2, max_size=60))
def test_rank_correlation_is_symmetric_and_bounded(pairs: list[tuple[int, int]]) -> None:
    one, other = (pl.Series([pair[at] for pair in pairs]) for at in (0, 1))
    found = rank_correlation(one, other)
    assert found == pytest.approx(rank_correlation(other, one)) if found is not None else True
    assert found is None or -1 - 1e-9 <= found <= 1 + 1e-9
    if one.n_unique() > 1:
        assert rank_correlation(one, one * 7 + 1) == pytest.approx(1)
        assert rank_correlation(one, -one) == pytest.approx(-1)


def test_chance_gives_no_bias() -> None:
    """Of 400 fair pairs of 50 rows about one in twenty goes beyond, and by little."""
    rng = random.Random(0)
    beyond = []
    for _ in range(400):
        one, other = (pl.Series([rng.random() for _ in range(50)]) for _ in range(2))
        beyond.append(beyond_chance(rank_correlation(one, other) or 0.0, 50))
    assert sum(each > 0 for each in beyond) <= 40
    assert max(beyond) < 0.3
    assert beyond_chance(0.6, 50) > 0.3 > beyond_chance(0.6, 12)
    assert beyond_chance(0.6, 50, tests=20) < beyond_chance(0.6, 50)
    assert beyond_chance(1.0, 3) == 0.0
