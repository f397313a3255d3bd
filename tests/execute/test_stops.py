"""Everything that ends a run early, and what the next run makes of it."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import synthkit
from synthkit import api
from synthkit.core.engine import Completion, Message, Request, Role
from synthkit.core.errors import StoreError, StoreLocked, TransportError
from synthkit.core.types import constraint as schema_of
from synthkit.core.types import parse_type
from synthkit.inspect.retry import raise_attempts
from synthkit.testing.scripted import ScriptedEngine
from tests.execute.bench import Bench, documents

STEPS = """
  asked:
    from: documents
    generate: {model: writer, prompt: ask.j2, out: {question: str(20..60), kind: a|b|c}}

  grouped:
    from: asked
    group: {by: kind, collect: {questions: [question]}, order: question, size: 1..}

  shown:
    from: grouped
    let: {many: "questions | length"}
"""
PUBLISH = "  kinds: {from: shown, columns: [kind, many]}"


def small(bench: Bench, engine: str = "scripted: auto", steps: str = STEPS) -> None:
    bench.spec(steps, publish=PUBLISH if steps == STEPS else "", engine=engine)


def test_a_spec_without_a_tokenizer_stops_where_tokens_are_counted(bench: Bench) -> None:
    """Not row by row: 64 failed rows and exit code 0 say nothing of what is missing."""
    spec = bench.spec("  parts:\n    from: documents\n    chunk: {text: body, into: part, tokens: 10..20}\n")
    spec.write_text(spec.read_text().replace("tokenizer: nano\n", ""))
    stopped = bench.run().stopped
    assert stopped is not None and stopped.exit_code == 2
    assert "no tokenizer is set" in str(stopped)


def expected(bench: Bench) -> dict[str, list[str]]:
    """The tables of an uninterrupted run in a directory of its own."""
    other = Bench(bench.folder)
    other.out = bench.folder / "whole" / "small"
    other.whole()
    return other.tables()


def test_a_budget_of_requests_is_met_exactly_and_the_run_goes_on(bench: Bench) -> None:
    small(bench)
    with bench.asking(3):
        result = bench.run(max_requests=3)
    assert result.stopped is not None
    assert result.stopped.exit_code == 1
    assert "the budget of 3 requests is used up" in str(result.stopped)
    with bench.asking(5):
        bench.whole(max_requests=5)
    assert bench.tables() == expected(bench)


def test_a_budget_of_tokens_stops_before_the_next_request(bench: Bench) -> None:
    small(bench)
    result = bench.run(max_tokens=1, concurrency=1)
    assert result.stopped is not None and "1 tokens" in str(result.stopped)
    assert len(bench.calls()) == 1
    bench.whole()
    assert len(bench.calls()) == 8
    assert bench.tables() == expected(bench)


def test_a_limited_run_and_then_the_whole(bench: Bench) -> None:
    small(bench)
    with bench.asking(3):
        bench.whole(limit=3)
    assert len(bench.rows("documents")) == 3
    run = synthkit.open(bench.out)
    assert run.store.state["steps"]["grouped"]["partial"] is True
    with bench.asking(5):
        bench.whole()
    assert synthkit.open(bench.out).store.state["steps"]["grouped"]["partial"] is False
    assert bench.tables() == expected(bench)


def test_a_pilot_in_the_directory_of_a_whole_run_is_refused(bench: Bench) -> None:
    small(bench)
    bench.whole()
    whole = bench.tables()
    with pytest.raises(StoreError, match=r"begun without --limit.*--out DIRECTORY/NAME"):
        bench.run(limit=3)
    assert bench.tables() == whole


def test_until_a_step_publishes_nothing(bench: Bench) -> None:
    small(bench)
    result = bench.whole(until="asked")
    assert result.tables == {}
    assert len(bench.rows("asked")) == 8
    assert bench.rows("grouped") == []
    with bench.asking(0):
        assert bench.whole().tables == {"kinds": len(bench.rows("shown"))}


def test_until_after_an_edit_judges_only_what_it_ran(bench: Bench) -> None:
    small(bench)
    bench.whole()
    bench.documents(documents(5))
    bench.whole(until="asked")
    bench.whole()


def test_a_dead_engine_stops_the_run_resumably(bench: Bench) -> None:
    small(bench, "scripted: auto, faults: {dead: 3}")
    result = bench.run(concurrency=1)
    assert result.stopped is not None
    assert result.stopped.exit_code == 4
    assert "run again" in str(result.stopped)
    small(bench)
    bench.whole()
    assert len(bench.calls()) == 8, "nothing is asked twice"
    assert bench.tables() == expected(bench)


def test_what_does_not_arrive_is_pending_and_comes_with_the_next_run(bench: Bench) -> None:
    small(bench, "scripted: auto, faults: {transport: 3}")
    result = bench.run()
    assert result.stopped is None
    assert result.problems == []
    pending = result.ledger["asked"].pending
    assert 0 < pending < 8
    small(bench)
    with bench.asking(pending):
        bench.whole()
    assert bench.tables() == expected(bench)


def test_samples_that_came_are_kept_when_the_rest_does_not(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    steps = """
  asked:
    from: documents
    generate: {model: writer, prompt: ask.j2, n: 4, out: {question: str(20..60)}}
"""
    small(bench, steps=steps)
    complete, asked = ScriptedEngine.complete, []

    async def half(self: ScriptedEngine, request: Request) -> Completion:
        whole = await complete(self, request)
        asked.append(request.n)
        if request.n < 4:
            return whole
        return Completion(whole.samples[:3], whole.usage, TransportError("one of four requests failed"))

    monkeypatch.setattr(ScriptedEngine, "complete", half)
    pending = bench.run().ledger["asked"].pending
    assert pending == len(asked) == 8
    bench.whole()
    assert asked == [4] * 8 + [1] * 8, "three of four are in the journal"


def test_more_failures_than_allowed_stop_the_run_after_a_hundred_rows(bench: Bench) -> None:
    bench.documents(documents(160))
    small(bench, "scripted: auto, faults: {refused: 1}")
    result = bench.run(concurrency=4)
    assert result.stopped is not None
    assert result.stopped.exit_code == 1
    assert "reject_rate" in str(result.stopped) and "refused" in str(result.stopped)
    assert 100 <= result.ledger["asked"].failed < 160


def test_few_failures_do_not_stop_it_and_retry_brings_them_back(bench: Bench) -> None:
    small(bench, "scripted: auto, faults: {refused: 2}")
    result = bench.whole()
    failed = result.ledger["asked"].failed
    assert 0 < failed < 8
    assert result.ledger["asked"].reasons == {"refused": failed}
    small(bench)
    with bench.asking(0):
        bench.whole()
    assert bench.rejected("asked") == {"failed": failed}, "a plain run leaves them"
    assert raise_attempts(bench.out) == {"asked": failed}
    with bench.asking(failed):
        bench.whole()
    assert len(bench.rows("asked")) == 8
    assert sum(row["many"] for row in bench.rows("shown")) == 8, "they flow on through later tables"


def test_retry_with_another_role_field_for_these_rows_only(bench: Bench) -> None:
    roles = "  writer: {engine: fake, reask: 0, max_tokens: 6}\n"
    steps = (
        "\n  asked:\n    from: documents\n    generate: {model: writer, prompt: ask.j2, out: {question: str(40..60)}}\n"
    )
    bench.spec(steps, models=roles)
    assert bench.whole().ledger["asked"].reasons == {"truncated": 8}
    assert raise_attempts(bench.out, where="reason == 'truncated'", sets=["max_tokens=400"]) == {"asked": 8}
    with bench.asking(8):
        bench.whole()
    assert len(bench.rows("asked")) == 8
    with bench.asking(0):
        bench.whole()


def test_a_retried_row_is_kept_under_the_digest_that_replay_looks_for(bench: Bench) -> None:
    roles = "  writer: {engine: fake, reask: 0, max_tokens: 6}\n"
    generate = "{model: writer, prompt: ask.j2, out: {question: str(40..60)}}"
    spec = bench.spec(f"\n  asked:\n    from: documents\n    generate: {generate}\n", models=roles)
    bench.whole()
    raise_attempts(bench.out, where="reason == 'truncated'", sets=["max_tokens=400", "temperature=1"])
    bench.whole()
    graph = api.check(spec)
    role = Role(**{**graph.roles["writer"].model_dump(), "max_tokens": 400, "temperature": 1})
    kept = synthkit.open(bench.out).completions.filter(attempt=1).collect()
    constraint = schema_of(parse_type({"question": "str(40..60)"}))
    documents = {row["_id"]: row["body"] for row in bench.rows("documents")}
    for line in kept.to_dicts():
        message = Message("user", f"Ask about: {documents[line['row']]}")
        asked = Request((message,), role, "writer", constraint=constraint)
        assert asked.digest(graph.engines["fake"].identity()) == line["request"]
    assert kept.height == 8


def test_a_sample_that_never_parses_is_asked_again_once_and_set_aside(bench: Bench) -> None:
    generate = "{model: writer, prompt: ask.j2, n: 2, out: {question: str(20..60)}}"
    bench.spec(
        f"\n  asked:\n    from: documents\n    generate: {generate}\n", engine="scripted: auto, faults: {malformed: 1}"
    )
    with bench.asking(8 + 16):
        result = bench.whole()
    assert result.ledger["asked"].reasons == {"not parsed": 8} or result.ledger["asked"].failed == 8
    assert result.ledger["asked"].rejected == 16
    with bench.asking(0):
        bench.whole()


def test_a_row_whose_expression_has_no_value_fails_alone(bench: Bench) -> None:
    bench.documents({"a": "x" * 71, "b": "x" * 81})
    steps = '\n  kept:\n    from: documents\n    filter: {some: "10 / (body | length - 71) > 0"}\n'
    bench.spec(steps)
    result = bench.whole()
    assert result.ledger["kept"].reasons == {"expression has no value": 1}
    assert result.ledger["kept"].failed == 1


WORKER = """
import sys
from synthkit.cli import main
sys.argv = ["synthkit", "run", "small.yaml", "--out", sys.argv[1], "--quiet"]
main()
"""


def started(bench: Bench) -> "subprocess.Popen[str]":
    """A slow run in a process of its own, which has asked something."""
    process = subprocess.Popen(
        [sys.executable, "-c", WORKER, str(bench.out)],
        cwd=bench.folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    deadline = time.monotonic() + 60
    while len(bench.calls()) < 2:
        assert process.poll() is None and time.monotonic() < deadline, process.communicate()
        time.sleep(0.02)
    return process


@pytest.fixture
def slow(bench: Bench) -> Bench:
    bench.documents(documents(60))
    small(bench, "scripted: auto, latency: 0.3, slots: 2")
    return bench


def test_one_interrupt_ends_cleanly_and_resumably(slow: Bench) -> None:
    process = started(slow)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert "interrupted; run again to go on from here" in said
    assert "Traceback" not in said
    answered = len(slow.calls())
    small(slow)
    with slow.asking(60 - answered):
        slow.whole()
    assert slow.tables() == expected(slow)


BARRIER = """
  asked:
    from: documents
    generate: {model: writer, prompt: ask.j2, out: {question: str(20..60), kind: a|b|c}}

  distinct:
    from: asked
    dedup: {by: question}
"""
ENDLESS = """
import sys
from pathlib import Path
from synthkit.actions.dedup import Dedup

table = Dedup.table

async def endless(self, scan, ctx):
    async for batch in table(self, scan, ctx):
        yield batch.slice(0, 3)
        Path("begun").touch()
        while True:
            pass

Dedup.table = endless
"""


def test_one_interrupt_ends_a_barrier_that_computes(bench: Bench) -> None:
    """The code of the verb is the same, so what it left would count as its result: it must have left nothing."""
    small(bench, steps=BARRIER)
    bench.file("endless.py", ENDLESS + WORKER)
    process = subprocess.Popen(
        [sys.executable, "endless.py", str(bench.out)], cwd=bench.folder, stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 60
    while not (bench.folder / "begun").exists():
        assert process.poll() is None and time.monotonic() < deadline, process.communicate()
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    try:
        _, said = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130, said
    assert "Traceback" not in said
    assert bench.rows("distinct") == []
    with bench.asking(0):
        bench.whole()
    assert len(bench.rows("distinct")) == 8


def test_two_interrupts_end_it_at_once(slow: Bench) -> None:
    process = started(slow)
    process.send_signal(signal.SIGSTOP)  # so that both are there when it wakes
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGCONT)
    time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode in (130, -signal.SIGINT)
    small(slow)
    slow.whole()


def test_a_second_writer_is_refused_and_a_reader_is_not(slow: Bench) -> None:
    process = started(slow)
    try:
        with pytest.raises(StoreLocked, match=str(process.pid)) as refused:
            slow.run()
        assert refused.value.exit_code == 3
        assert synthkit.open(slow.out).store.scan("documents").collect().height == 60
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    small(slow)
    slow.whole()


def test_a_script_that_is_not_there_is_a_dead_engine(bench: Bench, tmp_path: Path) -> None:
    small(bench, f"scripted: '{tmp_path}/none.py:reply'")
    result = bench.run()
    assert result.stopped is not None
    assert result.stopped.exit_code == 4
