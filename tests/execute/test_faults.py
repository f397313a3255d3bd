"""A disk that dies at any write, a process killed at any moment, a server that fails in every way: nothing is lost."""

import errno
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from synthkit.core.errors import StoreError
from synthkit.store.dataset import Dataset
from synthkit.store.segment import Segment
from synthkit.testing import FaultServer
from tests.execute.bench import Bench, documents
from tests.execute.killing import SLOTS, kill_runs
from tests.execute.test_quotas import every_step


@contextmanager
def dying_disk(writes: int) -> Iterator[list[int]]:
    """Let that many writes through, then refuse every one: what is on disk is what a kill at that moment leaves."""
    left = [writes]

    def dying(write: Callable[..., Any]) -> Callable[..., Any]:
        def attempt(*args: Any, **kwargs: Any) -> Any:
            if left[0] <= 0:
                raise OSError(errno.ENOSPC, "No space left on device")
            left[0] -= 1
            return write(*args, **kwargs)

        return attempt

    patches = [
        mock.patch.object(Dataset, "append", dying(Dataset.append)),
        mock.patch.object(Dataset, "overwrite", dying(Dataset.overwrite)),
        mock.patch.object(Dataset, "delete", dying(Dataset.delete)),
        mock.patch.object(Segment, "append", dying_segment(left)),
    ]
    for patch in patches:
        patch.start()
    try:
        yield left
    finally:
        for patch in patches:
            patch.stop()


def dying_segment(left: list[int]) -> Callable[..., int]:
    from synthkit.store.writer import disk_error

    whole = Segment.append

    def attempt(self: Segment, payload: bytes) -> int:
        if left[0] <= 0:
            raise disk_error(OSError(errno.ENOSPC, "No space left on device"))
        left[0] -= 1
        return whole(self, payload)

    return attempt


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Bench, dict[str, list[str]], int]:
    """A finished run of every kind of step, and how many writes it took."""
    bench = Bench(tmp_path_factory.mktemp("whole"))
    bench.documents(documents(6))
    with pytest.MonkeyPatch.context() as patch, dying_disk(10**9) as left:
        patch.chdir(bench.folder)
        every_step(bench, "rows: 3, per: style")
        bench.whole()
    return bench, bench.tables(), 10**9 - left[0]


@pytest.mark.slow
@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@example(at=0.65625, again=0.3125, edited=False)  # full between making and filling a published table
@given(at=st.floats(0, 1), again=st.floats(0, 1), edited=st.booleans())
def test_a_disk_full_at_any_write_and_then_again_leaves_the_same_tables(
    whole: tuple[Bench, dict[str, list[str]], int],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    at: float,
    again: float,
    edited: bool,
) -> None:
    done, expected, writes = whole
    shutil.rmtree(tmp_path / "work", ignore_errors=True)
    monkeypatch.chdir(done.folder)
    bench = Bench(done.folder)
    bench.out = tmp_path / "work" / "small"
    if edited:  # begin with other rows, which must all go
        bench.file("prompts/ask.j2", "Another prompt: {{ body }}\n")
        bench.whole()
        bench.file("prompts/ask.j2", "Ask about: {{ body }}\n")
    for share in (at, again):
        with dying_disk(int(share * writes)):
            try:
                result = bench.run()
            except StoreError as error:
                assert error.exit_code == 5, error
            else:
                assert result.stopped is None or result.stopped.exit_code == 5, result.stopped
                assert result.stopped is None or "free space, then run again" in str(result.stopped)
    bench.whole()
    assert bench.tables() == expected


def test_a_full_disk_is_said_and_nothing_is_asked_twice(bench: Bench) -> None:
    generate = "{model: writer, prompt: ask.j2, out: {question: str(20..60)}}"
    bench.spec(f"\n  asked:\n    from: documents\n    generate: {generate}\n")
    with dying_disk(5):
        result = bench.run(concurrency=1)
    assert result.stopped is not None
    assert result.stopped.exit_code == 5
    assert "the disk is full" in str(result.stopped)
    bench.whole()
    keys = [call["key"] for call in bench.calls()]
    assert len(keys) - len(set(keys)) <= 1, "only the completion that could not be written"


@pytest.mark.slow
def test_killed_runs_come_to_the_same_tables() -> None:
    result = kill_runs(3, documents=60, seed=3, most=5.0)
    assert result.differences == []
    assert result.twice <= SLOTS * result.kills, "at most what was on its way from the engine to the journal"
    assert result.doubled == 0


async def test_a_server_that_fails_in_every_way(bench: Bench) -> None:
    from synthkit import api

    bench.documents(documents(24))
    generate = "{model: writer, prompt: ask.j2, n: 2, out: {question: str(20..60), kind: a|b}}"
    path = bench.spec(f"\n  asked:\n    from: documents\n    generate: {generate}\n")
    text = path.read_text()

    async def served(rate: float, name: str) -> dict[str, list[str]]:
        async with FaultServer(rate=rate, seed=4, hang=3.0) as server:
            engines = f'engines:\n  fake: {{openai: any-model, urls: ["{server.url}"], timeout: 1}}\n'
            head, rest = text.split("engines:\n")
            path.write_text(head + engines + rest.split("\n", 1)[1])
            other = Bench(bench.folder)
            other.out = bench.folder / name / "small"
            for _ in range(8):
                result = await api.run_async(api.check(path), out=other.out)
                assert result.stopped is None, result.stopped
                assert result.problems == []
                counts = result.ledger["asked"]
                assert counts.balanced()
                assert counts.failed == 0, "no healthy row fails"
                if not counts.pending:
                    break
            assert counts.pending == 0
            assert counts.kept == 24
            return other.tables()

    assert await served(0.3, "faulty") == await served(0.0, "sound")
