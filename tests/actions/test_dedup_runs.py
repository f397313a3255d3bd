"""`dedup` in whole runs: against another run's table, resumed, and with the tables' new versions."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from synthkit import api
from synthkit.core.errors import SpecError

TEXTS = [
    "the canal was dug by hand over eleven years and opened to barges in the spring of that year",
    "a lamp on the old tower has been lit each evening since the war by the same family of keepers",
    "the council sold the mill and its weir to a brewer who let both fall into the river below",
]


def write(folder: Path, name: str, texts: list[str]) -> None:
    (folder / f"{name}.jsonl").write_text("".join(json.dumps({"id": n, "note": t}) + "\n" for n, t in enumerate(texts)))
    against = "" if name == "old" else ", against: [{run: old, table: notes}]"
    (folder / f"{name}.yaml").write_text(
        f"name: {name}\nsteps:\n"
        f"  rows:\n    read: {{path: {name}.jsonl, key: id, columns: {{note: str}}}}\n"
        f"  distinct:\n    from: rows\n    dedup: {{by: note, words: 3{against}}}\n"
        "publish: {notes: {from: distinct}}\n"
    )


def notes(name: str) -> set[str]:
    result = api.run(f"{name}.yaml")
    assert result.problems == []
    return set(api.open(f"runs/{name}")["notes"].collect()["note"])


def test_a_run_is_compared_with_what_another_published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path, "old", [TEXTS[0], TEXTS[0].upper(), TEXTS[1]])
    write(tmp_path, "new", [TEXTS[1] + ".", TEXTS[2]])
    with pytest.raises(SpecError, match="there is no run 'old' in runs"):
        api.check("new.yaml")
    assert len(notes("old")) == 2
    before = api.check("new.yaml").nodes["distinct"].fingerprint
    assert notes("new") == {TEXTS[2]}
    reject = api.open("runs/new").rejects.collect().to_dicts()[0]
    assert reject["reason"] == "duplicate"
    assert json.loads(reject["detail"])["run"] == "old"
    assert api.open("runs/new").ledger()["distinct"].balanced()
    assert notes("new") == {TEXTS[2]}, "nothing is computed again"
    assert api.check("new.yaml").nodes["distinct"].fingerprint == before

    write(tmp_path, "old", [TEXTS[0], TEXTS[2].title()])
    assert len(notes("old")) == 2
    assert api.check("new.yaml").nodes["distinct"].fingerprint != before
    assert notes("new") == {TEXTS[1] + "."}, "the other table changed"
    assert notes("old") == {TEXTS[0], TEXTS[2].title()}


def test_the_run_that_was_planned_with_is_the_one_that_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever the run itself lies, and whatever lies beside it."""
    monkeypatch.chdir(tmp_path)
    write(tmp_path, "old", [TEXTS[0]])
    api.run("old.yaml")
    write(tmp_path, "old", [TEXTS[1]])
    api.run("old.yaml", out="elsewhere/old")
    write(tmp_path, "new", TEXTS)
    for out in ("elsewhere/new", "alone/new"):
        api.run("new.yaml", out=out)
        assert set(api.open(out)["notes"].collect()["note"]) == {TEXTS[1], TEXTS[2]}


def test_against_itself_is_refused_when_it_is_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path, "old", TEXTS)
    api.run("old.yaml")
    spec = tmp_path / "old.yaml"
    for run in ("old", "runs/old", "old@v1", str(tmp_path / "runs/old")):
        write(tmp_path, "old", TEXTS)
        spec.write_text(spec.read_text().replace("words: 3", f"words: 3, against: [{{run: {run}, table: notes}}]"))
        with pytest.raises(SpecError, match="against the run itself"):
            api.check(spec)
