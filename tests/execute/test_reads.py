"""Specs that read files, other specs, and finished runs."""

import os

import pytest

import synthkit
from synthkit import api
from synthkit.core.errors import SpecError, StoreError
from synthkit.execute.options import RunOptions
from tests.execute.bench import ENGINE, Bench, documents

FIRST = """
  asked:
    from: documents
    generate: {model: writer, prompt: ask.j2, out: {question: str(20..60)}}
"""
SECOND = """
  source:
    read: {spec: first.yaml, table: questions}

  answered:
    from: source
    generate: {model: judge, prompt: answer.j2, out: {answer: str(20..60)}}
"""


def two(bench: Bench, second: str = SECOND) -> None:
    bench.file("prompts/answer.j2", "Answer: {{ question }}\n")
    bench.spec(FIRST, name="first", publish="  questions: {from: asked, columns: [question]}")
    bench.spec(second, publish="  answers: {from: answered, columns: [question, answer]}")


def test_files_that_did_not_change_are_not_read_again(bench: Bench) -> None:
    bench.spec(FIRST)
    bench.whole()
    before = synthkit.open(bench.out).store.state["steps"]["documents"]
    os.utime(bench.folder / "documents.jsonl", (1, 1))
    bench.whole()
    after = synthkit.open(bench.out).store.state["steps"]["documents"]
    assert before["read"] != after["read"]
    assert len(bench.rows("documents")) == 8


def test_a_spec_is_brought_up_to_date_first_and_only_what_changed_costs(bench: Bench) -> None:
    two(bench)
    with bench.asking(16):
        result = bench.whole()
    assert [each.path.name for each in result.reads] == ["first"]
    with bench.asking(0):
        bench.whole()
    first = bench.tables()
    read = synthkit.open(bench.out).store.state["steps"]["source"]["read"]
    assert read.startswith("first/questions version ")
    bench.documents(documents(9))
    with bench.asking(2):
        bench.whole()
    assert len(bench.rows("answered")) == 9
    assert set(first["answered"]) < set(bench.tables()["answered"])
    assert synthkit.open(bench.out).store.state["steps"]["source"]["read"] != read


def test_a_run_of_another_content_under_the_same_version_is_told_apart(bench: Bench) -> None:
    import shutil

    two(bench)
    bench.whole()
    shutil.rmtree(bench.out.parent / "first")
    bench.documents(documents(8, begin=20))
    bench.whole()
    assert {row["question"] for row in bench.rows("answered")} == {
        row["question"] for row in bench.rows("asked", run=bench.out.parent / "first")
    }


def test_a_limit_and_a_stop_reach_the_spec_that_is_read(bench: Bench) -> None:
    two(bench)
    result = bench.run(max_requests=2, limit=2)
    assert result.stopped is not None
    assert len(bench.calls()) == 2
    bench.whole(limit=2)
    assert len(bench.rows("answered")) == 2
    result = bench.run(max_requests=4)
    assert result.stopped is not None
    assert len(bench.calls()) == 8
    bench.whole()
    assert len(bench.calls()) == 16


def test_a_pilot_takes_the_finished_run_that_it_reads_as_it_is(bench: Bench) -> None:
    two(bench)
    bench.whole()
    whole = bench.rows("asked", run=bench.out.parent / "first")
    pilot = bench.out.parent / "pilot"
    api.run(bench.folder / "small.yaml", out=pilot, options=RunOptions(limit=2))
    assert len(bench.rows("answered", run=pilot)) == 2
    assert bench.rows("asked", run=bench.out.parent / "first") == whole


def test_options_that_a_run_was_given_are_not_lost_by_who_reads_it(bench: Bench) -> None:
    short = """
  short:
    from: documents
    filter: {short: "body | length < vars.most"}
"""
    publish = "  rows: {from: short, columns: [body]}"
    first = bench.spec(short, name="first", top="vars: {most: 80}\n", publish=publish)
    bench.spec("\n  source:\n    read: {spec: first.yaml, table: rows}\n")
    bench.whole()  # read first, with the variables as they stand: whoever reads it may change those
    bench.whole(first, sets={"vars.most": "70"})
    kept = bench.rows("short", run=bench.out.parent / "first")
    with pytest.raises(StoreError) as caught:
        bench.run()
    said = str(caught.value)
    assert "was run with --set vars.most=70, and small/source reads it without" in said
    assert '`with: {"most": 70}` there' in said
    assert bench.rows("short", run=bench.out.parent / "first") == kept
    bench.spec("\n  source:\n    read: {spec: first.yaml, table: rows, with: {most: 70}}\n")
    bench.whole()
    bench.spec("\n  source:\n    read: {spec: first.yaml, table: rows, with: {most: 75}}\n")
    bench.whole()  # its own `with:` was changed, not what somebody typed
    bench.whole(first)
    bench.spec("\n  source:\n    read: {spec: first.yaml, table: rows}\n")
    bench.whole()


def test_the_models_that_a_run_was_given_are_not_lost_by_who_reads_it(bench: Bench) -> None:
    two(bench)
    engine = f'engines: {{real: {{{ENGINE}, record: false, log: "{bench.log}"}}}}\n'
    roles = "models: {writer: {engine: real, temperature: 0.9}, judge: {engine: real, temperature: 0.1}}\n"
    models, first = bench.file("real.yaml", engine + roles), bench.out.parent / "first"
    bench.whole()
    api.run(bench.folder / "first.yaml", models=models, out=first)
    kept = bench.rows("asked", run=first)
    with pytest.raises(
        StoreError, match=r"was run with --models \S+real\.yaml.* Give --models here too, or `run: first`"
    ):
        bench.run()
    assert bench.rows("asked", run=first) == kept
    result = api.run(bench.folder / "small.yaml", models=models, out=bench.out)
    assert result.stopped is None
    assert bench.rows("asked", run=first) == kept


def test_one_spec_with_two_sets_of_variables_has_a_run_for_each(bench: Bench) -> None:
    bench.spec(
        '\n  short:\n    from: documents\n    filter: {short: "body | length < vars.most"}\n',
        name="first",
        top="vars: {most: 80}\n",
        publish="  rows: {from: short, columns: [body]}",
    )
    steps = """
  source:
    read: {spec: first.yaml, table: rows}

  fewer:
    read: {spec: first.yaml, table: rows, with: {most: 70}}

  same:
    read: {spec: first.yaml, table: rows, with: {most: 80}}
"""
    bench.spec(steps)
    with pytest.raises(SpecError, match=r"first\.yaml is read with most 70 here and most 80 by 'source'") as caught:
        bench.run()
    assert 'name: "first-${vars.most}"' in str(caught.value)
    path = bench.folder / "first.yaml"
    path.write_text(path.read_text().replace("name: first", 'name: "first-${vars.most}"'))
    for _ in range(2):
        result = bench.whole()
        assert sorted(each.path.name for each in result.reads) == ["first-70", "first-80"]
        assert [len(bench.rows(name)) for name in ("source", "fewer", "same")] == [6, 1, 6]


def test_a_tagged_run_is_read_as_it_was(bench: Bench) -> None:
    two(bench, SECOND.replace("spec: first.yaml", "run: first@good"))
    bench.whole(bench.folder / "first.yaml")
    tagged = synthkit.open(bench.out.parent / "first").store
    writing = __import__("synthkit.store.run", fromlist=["open_run"]).open_run(tagged.path, write=True)
    writing.tag("good")
    __import__("asyncio").run(writing.close())
    bench.documents(documents(12))
    bench.whole(bench.folder / "first.yaml")
    with bench.asking(8):
        bench.whole()
    assert len(bench.rows("answered")) == 8
    bench.spec(SECOND.replace("spec: first.yaml", "run: first"))
    bench.whole()
    assert len(bench.rows("answered")) == 12


def test_a_run_that_is_not_there_is_said(bench: Bench) -> None:
    two(bench, SECOND.replace("spec: first.yaml", "run: nowhere"))
    with pytest.raises((StoreError, SpecError), match="nowhere"):
        bench.run()


SHAPES = """
  short:
    from: documents
    filter: {short: "body | length <= 75"}

  long:
    from: documents
    filter: {long: "body | length > 60"}

  all:
    from: [short, long]
    when: "(body | length) % 2 == 0"
    generate: {model: writer, prompt: ask.j2, out: {question: str(20..60)}}

  counted:
    from: all
    let: {asked: "question is not none"}
"""


def test_a_union_gives_every_row_of_every_branch_and_when_lets_some_pass(bench: Bench) -> None:
    bench.documents({f"d{number}": "x" * (50 + 5 * number) for number in range(8)})
    bench.spec(SHAPES)
    bench.whole()
    first = bench.tables()
    rows = bench.rows("counted", "body", "question", "asked")
    assert len(rows) == len(bench.rows("short")) + len(bench.rows("long"))
    assert len({row["_id"] for row in rows}) == len(rows)
    for row in rows:
        assert row["asked"] == (len(row["body"]) % 2 == 0) == (row["question"] is not None)
    assert {row["asked"] for row in rows} == {True, False}
    with bench.asking(0):
        bench.whole()
    assert bench.tables() == first


def test_a_step_that_reads_no_column(bench: Bench) -> None:
    bench.spec(
        '\n  same:\n    from: documents\n    let: {one: "1"}\n\n  kept:\n    from: same\n    filter: {all: "true"}\n'
    )
    bench.whole()
    assert [row["one"] for row in bench.rows("kept", "one")] == [1] * 8


def test_an_empty_source_is_no_error(bench: Bench) -> None:
    bench.documents({})
    bench.spec(FIRST, publish="  questions: {from: asked, columns: [question]}")
    assert bench.whole().tables == {"questions": 0}
