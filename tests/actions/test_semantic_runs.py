"""Vectors in whole runs: over HTTP, by vLLM, killed, against another run's, and what `check` says."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from synthkit import api
from synthkit.core.errors import SpecError
from synthkit.execute.options import RunOptions
from synthkit.testing import FaultServer, read_log
from tests.cli.conftest import call

PLACES = ("canal", "tower", "mill", "harbour", "theatre", "library")


def notes(count: int) -> list[str | None]:
    """Every third the words of the one before in another order, some equal, some none."""
    found: list[str | None] = []
    for n in range(count):
        words = (
            f"the {PLACES[n % 6]} number {n} was closed in the winter of {1700 + n} by order of mayor m{n * 7}".split()
        )
        found.append(" ".join(words))
        if n % 3 == 0:
            found.append(" ".join([*words[8:], *words[:8]]))
        if n % 4 == 0:
            found += [found[-1], None]
    return found


def write(
    folder: Path, engine: str, texts: list[str | None], name: str = "s", more: str = "", threshold: float = 0.97
) -> Path:
    (folder / f"{name}.jsonl").write_text("".join(json.dumps({"id": n, "note": t}) + "\n" for n, t in enumerate(texts)))
    (folder / f"{name}.yaml").write_text(
        f"name: {name}\nengines: {{e: {engine}}}\nmodels: {{embedder: {{engine: e}}}}\nsteps:\n"
        f"  rows:\n    read: {{path: {name}.jsonl, key: id, columns: {{note: str|none}}}}\n"
        f"  distinct:\n    from: rows\n    semantic_dedup: {{model: embedder, by: note, threshold: {threshold}}}\n"
        f"{more}publish: {{notes: {{from: {'fresh' if more else 'distinct'}}}}}\n"
    )
    return folder / f"{name}.yaml"


def kept(run: str | Path = "runs/s") -> list[tuple[str, str | None]]:
    return sorted(api.open(str(run))["notes"].collect().select("_id", "note").rows())


@contextmanager
def served(server: FaultServer) -> Iterator[FaultServer]:
    """The server, on a loop of its own thread."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        asyncio.run_coroutine_threadsafe(server.start(), loop).result(10)
        yield server
    finally:
        asyncio.run_coroutine_threadsafe(server.stop(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def test_over_http_with_faults_as_without_and_equal_texts_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    texts = notes(30)
    api.run(write(tmp_path, "{scripted: auto}", texts))
    expected = kept()
    assert len(expected) == 30 + 8, "30 kinds, and none as often as it came"
    faults: Any = ["500", "429", "reset", "malformed", "truncated", "empty"]
    with served(FaultServer(rate=0.3, faults=faults)) as server:
        result = api.run(write(tmp_path, f"{{openai: scripted, urls: '{server.url}'}}", texts), out="runs/http")
        assert result.problems == []
        assert kept("runs/http") == expected
        distinct = len({text for text in texts if text})
        assert server.counts["ok"] == distinct and sum(server.counts.values()) > distinct
        again = api.run("s.yaml", out="runs/http")
        assert again.problems == [] and server.counts["ok"] == distinct, "nothing is asked again"
    assert api.open("runs/http").ledger()["distinct.vectors"].asked == distinct
    assert all(each.balanced() for each in api.open("runs/http").ledger().values())


def test_a_killed_run_asks_for_no_finished_vector_again(tmp_path: Path) -> None:
    texts, log = notes(150), tmp_path / "log"
    distinct = len({text for text in texts if text})
    write(tmp_path, f"{{scripted: auto, latency: 0.02, slots: 4, wanted: 4, log: {log}}}", texts)
    command = [sys.executable, "-m", "synthkit", "run", "s.yaml", "--quiet"]
    process = subprocess.Popen(command, cwd=tmp_path, start_new_session=True)
    while not log.exists() or len(log.read_bytes().splitlines()) < 40:
        assert process.poll() is None, "it ended before it could be killed"
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    before = sum(read_log(log).values())
    assert 40 <= before < distinct
    subprocess.run(command, cwd=tmp_path, check=True, timeout=120)
    answered = read_log(log)
    assert len(answered) == distinct
    assert sum(answered.values()) <= distinct + 4, "at most what was under way at the kill"
    assert api.open(str(tmp_path / "runs/s")).store.completions().collect().height == distinct
    write(tmp_path, "{scripted: auto}", texts)
    subprocess.run([*command, "--out", "runs/whole"], cwd=tmp_path, check=True, timeout=120)
    assert kept(tmp_path / "runs/s") == kept(tmp_path / "runs/whole")


def test_another_run_s_vectors_are_compared_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    api.run(write(tmp_path, "{scripted: auto}", notes(12), "old"))
    more = (
        "  fresh:\n    from: distinct\n    dedup: {by: vector, threshold: 0.97, against: [{run: old, table: notes}]}\n"
    )
    texts = [" ".join(reversed(str(text).split())) if text else None for text in notes(14)]
    path = write(tmp_path, "{scripted: auto}", texts, more=more)
    result = api.run(path)
    assert result.problems == []
    fresh = [note.split() for _, note in kept() if note]
    assert sorted(str(*{"12", "13"}.intersection(each)) for each in fresh) == ["12", "13"]
    rejects = api.open("runs/s").rejects.collect().to_dicts()
    assert sum(json.loads(each["detail"]).get("run") == "old" for each in rejects) == 12

    write(tmp_path, "{scripted: 'nowhere:other'}", texts, more=more)
    with pytest.raises(SpecError, match="vectors of two models cannot be compared"):
        api.check(path)


def test_check_knows_what_an_engine_can_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SpecError, match="the engine 'e' of 'embedder' cannot embed texts"):
        api.check(write(tmp_path, "{vllm: nano}", notes(3)))
    graph = api.check(write(tmp_path, "{vllm: nano, embed: true}", notes(3)))
    assert graph.nodes["distinct.vectors"].roles == ("embedder",)
    assert str(graph.nodes["distinct.distinct"].columns["vector"]).startswith("vector(m")
    (tmp_path / "p.j2").write_text("Say {{ note }}.")
    more = "  fresh:\n    from: distinct\n    generate: {model: embedder, prompt: p.j2, out: {said: str}}\n"
    with pytest.raises(SpecError, match="'e' of 'embedder' only embeds texts; it cannot write"):
        api.check(write(tmp_path, "{vllm: nano, embed: true}", notes(3), more=more))


def test_vectors_from_elsewhere_and_a_reply_that_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    given = [[1.0, 0.0], [0.99, 0.05], [0.0, 2.0], None]
    (tmp_path / "v.jsonl").write_text("".join(json.dumps({"id": n, "v": each}) + "\n" for n, each in enumerate(given)))
    spec = "name: v\nsteps:\n  rows:\n    read: {path: v.jsonl, key: id, columns: {v: 'TYPE'}}\n"
    spec += "  distinct:\n    from: rows\n    dedup: {by: v, threshold: 0.9}\npublish: {kept: {from: distinct}}\n"
    for kind in ("vector(e5)|none", "[float]|none"):
        (tmp_path / "v.yaml").write_text(spec.replace("TYPE", kind))
        assert api.run("v.yaml").problems == []
        assert api.open("runs/v")["kept"].collect().height == 3
    (tmp_path / "p.j2").write_text("Say {{ note }}.")
    more = "  fresh:\n    from: rows\n    generate: {model: embedder, prompt: p.j2, out: {said: ['vector(e5)']}}\n"
    with pytest.raises(SpecError, match="a model does not write a vector"):
        api.check(write(tmp_path, "{scripted: auto}", notes(3), more=more))


def test_the_plan_counts_calls_and_after_a_pilot_tokens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = write(tmp_path, "{scripted: auto}", notes(30))
    rows = str(len(notes(30)))

    def told() -> list[str]:
        """The line of the step in the table of costs: in, reuse, compute, out, requests, tokens."""
        return [line.split()[1:] for line in api.plan(path).splitlines() if line.startswith("distinct.vectors ")][-1]

    assert told() == [rows, "-", rows, rows, rows, "?"]
    api.run(path, options=RunOptions(limit=12))
    for command in (("try", str(path), "distinct.vectors"), ("show", "runs/s", "notes")):
        assert "64 numbers: " in call(*command).text
    requests, tokens = told()[-2:]
    assert 10 < int(tokens.replace(",", "")) / int(requests) < 60


@pytest.mark.vllm
def test_vllm_embeds_by_a_model_that_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """nano, which is no embedding model: what is near is what its vectors say, and each is asked for once."""
    monkeypatch.chdir(tmp_path)
    texts = notes(40)
    result = api.run(write(tmp_path, "{vllm: nano, embed: true}", texts, threshold=0.85))
    assert result.problems == []
    run = api.open("runs/s")
    distinct = len({text for text in texts if text})
    assert run.ledger()["distinct.vectors"].asked == distinct
    table = run["distinct.vectors"].collect().drop_nulls("vector").sort("_id")
    matrix = np.array(table["vector"].to_list())
    assert matrix.shape == (distinct, 288)
    assert np.allclose(np.linalg.norm(matrix, axis=1), 1, atol=1e-3)
    near = matrix @ matrix.T >= 0.85
    for _ in range(8):
        near = near @ near
    firsts = {table["_id"][int(each.argmax())] for each in near}
    assert firsts == {ident for ident, note in kept() if note}
    assert 1 < len(firsts) < distinct
    assert api.run("s.yaml").problems == []
    assert run.store.completions().collect().height == distinct
