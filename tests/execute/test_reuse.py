"""What is computed again after a change, and what is not."""

import json
import shutil

from tests.execute.bench import Bench, documents

CHAIN = """
  asked:
    from: documents
    generate: {model: writer, prompt: ask.j2, out: {question: str(20..60), kind: a|b|c}}

  long:
    from: asked
    filter: {long: "question | length > 25"}

  judged:
    from: long
    judge: {model: judge, prompt: judge.j2, rubric: {good: pass|fail}, votes: 3, keep: {good: "p(good) >= 0.3"}}

  shown:
    from: judged
    let: {words: "question | length"}
"""
JUDGE = "Is it good? {{ question }}\n"


def chain(bench: Bench, steps: str = CHAIN) -> None:
    bench.file("prompts/judge.j2", JUDGE)
    bench.spec(steps, publish="  questions: {from: shown, columns: [question, words]}")


def test_a_second_run_asks_nothing_and_changes_nothing(bench: Bench) -> None:
    chain(bench)
    bench.whole()
    first = bench.tables()
    with bench.asking(0):
        bench.whole()
    assert bench.tables() == first


def test_a_new_document_costs_itself_alone(bench: Bench) -> None:
    chain(bench)
    bench.whole()
    before = bench.tables()
    bench.documents(documents(9))
    with bench.asking() as made:
        bench.whole()
    assert 1 <= len(made) <= 2
    after = bench.tables()
    assert len(after["documents"]) == 9
    assert set(before["asked"]) < set(after["asked"])


def test_a_table_that_was_removed_is_made_anew(bench: Bench) -> None:
    """It is what the message of a damaged table says to do; an empty source or barrier would empty all behind it."""
    steps = """
  distinct:
    from: documents
    dedup: {by: body, threshold: 0.9}

  asked:
    from: distinct
    until: {rows: 3}
    generate: {model: writer, prompt: ask.j2, out: {question: str(20..60), kind: a|b|c}}
"""
    bench.spec(steps, publish="  questions: {from: asked, columns: [question]}")
    bench.whole()
    before = bench.tables()
    for name in ("documents", "distinct", "asked"):
        shutil.rmtree(bench.out / f"{name}.lance")
        with bench.asking(0):
            bench.whole()
        assert bench.tables() == before, name


def test_rows_of_a_removed_document_go(bench: Bench) -> None:
    chain(bench)
    bench.documents(documents(9))
    bench.whole()
    bench.documents(documents(8))
    with bench.asking(0):
        bench.whole()
    fresh = Bench(bench.folder)
    fresh.out = bench.folder / "fresh" / "small"
    fresh.whole()
    assert bench.tables() == fresh.tables()


def test_a_changed_text_replaces_its_rows(bench: Bench) -> None:
    chain(bench)
    bench.whole()
    changed = documents(8) | {"d3": "another text altogether about a lamp in the garden"}
    bench.documents(changed)
    with bench.asking() as made:
        bench.whole()
    assert 1 <= len(made) <= 2
    assert len(bench.rows("asked")) == 8
    fresh = Bench(bench.folder)
    fresh.out = bench.folder / "fresh" / "small"
    fresh.whole()
    assert bench.tables() == fresh.tables()


def test_an_edited_prompt_costs_its_step_and_what_changes_after_it(bench: Bench) -> None:
    chain(bench)
    bench.whole()
    first = bench.tables()
    bench.file("prompts/judge.j2", JUDGE + "Be strict.\n")
    with bench.asking() as made:
        bench.whole()
    assert {call["model"] for call in made} == {"judge"}
    assert bench.tables()["asked"] == first["asked"]
    bench.file("prompts/judge.j2", JUDGE)
    with bench.asking(0):
        bench.whole()
    assert bench.tables() == first


def test_an_edit_before_an_unchanged_step_leaves_that_step_whole(bench: Bench) -> None:
    """The first step gives the same rows under another fingerprint: those after it stand as they are."""
    chain(bench)
    bench.whole()
    first = bench.tables()
    chain(bench, CHAIN.replace("question | length > 25", "25 < question | length"))
    with bench.asking(0):
        bench.whole()
    for name in ("long", "judged", "shown"):
        ids = [row["_id"] for row in bench.rows(name)]
        assert len(ids) == len(set(ids)) == len(first[name]), name
    assert [row["_id"] for row in bench.rows("judged")] == sorted(row["_id"] for row in bench.rows("judged"))
    assert bench.tables()["published/questions"] == first["published/questions"]


def test_an_edited_first_prompt_changes_all_and_going_back_is_free(bench: Bench) -> None:
    chain(bench)
    bench.whole()
    first = bench.tables()
    bench.file("prompts/ask.j2", "Another way to ask about: {{ body }}\n")
    with bench.asking() as made:
        bench.whole()
    assert sum(call["model"] == "writer" for call in made) >= 8
    second = bench.tables()
    assert second["asked"] != first["asked"]
    bench.file("prompts/ask.j2", "Ask about: {{ body }}\n")
    with bench.asking(0):
        bench.whole()
    assert bench.tables() == first


def test_an_edited_threshold_makes_no_call(bench: Bench) -> None:
    chain(bench)
    bench.whole()
    for least in ("0.9", "0.0"):
        chain(bench, CHAIN.replace("p(good) >= 0.3", f"p(good) >= {least}"))
        with bench.asking(0):
            result = bench.whole()
    assert result.ledger["judged"].kept == len(bench.rows("long"))


def test_an_edited_reject_rate_recomputes_nothing(bench: Bench) -> None:
    chain(bench)
    bench.whole()
    first = bench.tables()
    chain(bench, CHAIN.replace("prompt: ask.j2,", "prompt: ask.j2, reject_rate: 0.9,"))
    with bench.asking(0):
        bench.whole()
    assert bench.tables() == first


MANY = """
  asked:
    from: documents
    generate: {model: writer, prompt: ask.j2, n: 2, out: {question: str(20..60)}}
"""


def test_a_larger_n_asks_for_the_missing_samples_only(bench: Bench) -> None:
    bench.spec(MANY)
    with bench.asking(8) as made:
        bench.whole()
    assert {call["n"] for call in made} == {2}
    before = {row["_id"]: row["question"] for row in bench.rows("asked")}
    bench.spec(MANY.replace("n: 2", "n: 5"))
    with bench.asking(8) as made:
        bench.whole()
    assert {call["n"] for call in made} == {3}
    after = {row["_id"]: row["question"] for row in bench.rows("asked")}
    assert len(after) == 40
    assert before.items() <= after.items()
    bench.spec(MANY.replace("n: 2", "n: 1"))
    with bench.asking(0):
        bench.whole()
    assert len(bench.rows("asked")) == 8
    bench.spec(MANY)
    with bench.asking(0):
        bench.whole()
    assert {row["_id"]: row["question"] for row in bench.rows("asked")} == before


def test_another_seed_draws_other_samples_and_going_back_is_free(bench: Bench) -> None:
    roles = "  writer: {engine: fake}\n  judge: {engine: fake, temperature: 0}\n"
    steps = """
  asked:
    from: documents
    generate: {model: writer, prompt: ask.j2, out: {question: str(20..60)}}

  read:
    from: documents
    generate: {model: judge, prompt: ask.j2, out: {answer: str(20..60)}}
"""
    bench.spec(steps, models=roles)
    bench.whole()
    first = bench.tables()
    with bench.asking(8) as made:
        assert bench.run(sets={"seed": "1"}).problems == []
    assert {call["model"] for call in made} == {"writer"}, "at temperature 0 there is nothing to draw"
    second = bench.tables()
    assert {row["_id"] for row in bench.rows("asked")} == {json.loads(row)["_id"] for row in first["asked"]}
    assert not set(second["asked"]) & set(first["asked"])
    assert second["read"] == first["read"]
    with bench.asking(0):
        bench.whole()
    assert bench.tables() == first
    fresh = Bench(bench.folder)
    fresh.out = bench.folder / "fresh" / "small"
    fresh.run(sets={"seed": "1"})
    assert fresh.tables() == second, "a seed names its samples, whatever was run before"


def test_an_inserted_filter_renames_nothing(bench: Bench) -> None:
    chain(bench)
    bench.whole()
    ids = {row["_id"] for row in bench.rows("judged")}
    inserted = CHAIN.replace(
        "  judged:\n    from: long", '  more:\n    from: long\n    filter: {all: "true"}\n\n  judged:\n    from: more'
    )
    chain(bench, inserted)
    with bench.asking(0):
        bench.whole()
    assert {row["_id"] for row in bench.rows("judged")} == ids
