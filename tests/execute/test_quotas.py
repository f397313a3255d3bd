"""Tables do not depend on timing: one row at a time or all at once, fast replies or slow ones, at every step."""

import pytest

from tests.execute.bench import Bench, documents

STEPS = """
  claims:
    from: documents
    generate:
      model: writer
      prompt: ask.j2
      n: 2
      out: {claims: "[{claim: str(20..60), about: a|b|c}](1..3)"}
      explode: claims

  long:
    from: claims
    filter: {long: "claim | length > 24"}

  distinct:
    from: long
    dedup: {by: claim, threshold: 0.5, words: 1}

  grouped:
    from: long
    group: {by: about, collect: {claims: [claim]}, order: claim, size: 1..}

  questions:
    from: distinct
    generate:
      model: writer
      prompt: question.j2
      each: {style: [short, long]}
      out: {question: str(20..80)}

  judged:
    from: questions
    until: {QUOTA}
    judge: {model: judge, prompt: judge.j2, rubric: {good: pass|fail}, votes: 3, keep: {good: "p(good) >= 0.3"}}

  text:
    from: judged
    render: {prompt: text.j2}
"""
PUBLISH = (
    "  texts: {from: text, columns: [text, tokens, style, about]}\n  topics: {from: grouped, columns: [about, claims]}"
)
QUOTAS = {"rows": "rows: 3", "per column": "rows: 2, per: style", "per input column": "rows: 1, per: about"}


def every_step(bench: Bench, quota: str, engine: str = "scripted: auto", steps: str = STEPS) -> None:
    bench.file("prompts/question.j2", "Write a {{ style }} question about: {{ claim }}\n")
    bench.file("prompts/judge.j2", "Is it good? {{ question }}\n")
    bench.file("prompts/text.j2", '{% role "question" %}{{ question }}{% endrole %}\n')
    bench.spec(steps.replace("QUOTA", quota), publish=PUBLISH, engine=engine)


def in_other_circumstances(bench: Bench, name: str, **options: int) -> dict[str, list[str]]:
    other = Bench(bench.folder)
    other.out = bench.folder / name / "small"
    other.whole(**options)
    return other.tables()


@pytest.mark.parametrize("quota", QUOTAS.values(), ids=QUOTAS.keys())
def test_tables_are_the_same_at_any_concurrency_and_latency(bench: Bench, quota: str) -> None:
    every_step(bench, quota)
    bench.whole(concurrency=1)
    first = bench.tables()
    assert first["text"], "some rows come to the end"
    assert any("over quota" in line for line in first["rejects"]), "the quota is met"
    for concurrency in (8, 64):
        assert in_other_circumstances(bench, f"at {concurrency}", concurrency=concurrency) == first
    every_step(bench, quota, "scripted: auto, latency: 0.01, slots: 2")
    assert in_other_circumstances(bench, "slow") == first


def test_a_wide_window_asks_little_more_than_a_narrow_one(bench: Bench) -> None:
    bench.documents(documents(150))
    steps = """
  asked:
    from: documents
    generate: {model: writer, prompt: ask.j2, out: {question: str(20..80), good: bool}}

  kept:
    from: asked
    until: {rows: 20}
    filter: {good: good}
"""
    bench.spec(steps, engine="scripted: auto, latency: 0.002, wanted: 256")
    result = bench.whole()
    used = 150 - result.ledger["asked"].unused
    assert len(bench.rows("kept")) == 20
    assert used <= len(bench.calls()) <= used + 20, "it was all 150"


TWO_GATES = STEPS.replace(
    "  text:\n    from: judged\n",
    """  rated:
    from: judged
    until: {rows: 1, per: about}
    generate: {model: judge, prompt: judge.j2, out: {stars: int(1..5)}}

  text:
    from: rated
""",
)


def test_two_quotas_one_after_another(bench: Bench) -> None:
    every_step(bench, "rows: 3, per: style", steps=TWO_GATES)
    bench.whole(concurrency=1)
    first = bench.tables()
    every_step(bench, "rows: 3, per: style", "scripted: auto, latency: 0.005, slots: 3", steps=TWO_GATES)
    assert in_other_circumstances(bench, "slow", concurrency=64) == first
    with bench.asking(0):
        bench.whole()
    assert bench.tables() == first


def test_a_token_quota_counts_a_column_made_before_it(bench: Bench) -> None:
    steps = """
  text:
    from: documents
    render: {prompt: text.j2}

  rated:
    from: text
    until: {tokens: 60}
    generate: {model: judge, prompt: ask.j2, out: {stars: int(1..5)}}
"""
    bench.file("prompts/text.j2", '{% role "body" %}{{ body }}{% endrole %}\n')
    bench.documents(documents(12))
    bench.spec(steps)
    result = bench.whole()
    taken = [row["tokens"] for row in bench.rows("rated", "tokens")]
    assert sum(taken) >= 60 > sum(taken[:-1])
    assert result.ledger["text"].unused == 12 - len(taken), "what comes too late is not even begun"


def test_a_smaller_quota_takes_rows_back_and_a_larger_one_goes_on(bench: Bench) -> None:
    every_step(bench, "rows: 4")
    bench.whole()
    first = bench.tables()
    every_step(bench, "rows: 2")
    with bench.asking(0):
        bench.whole()
    assert len(bench.rows("text")) == 2
    every_step(bench, "rows: 6")
    bench.whole()
    assert len(bench.rows("text")) == 6
    every_step(bench, "rows: 4")
    with bench.asking(0):
        bench.whole()
    assert bench.tables() == first


def test_a_row_that_fails_to_arrive_gives_its_place_back_once_it_comes(bench: Bench) -> None:
    every_step(bench, "rows: 2, per: style")
    bench.whole()
    first = bench.tables()
    faulty = Bench(bench.folder)
    faulty.out = bench.folder / "faulty" / "small"
    every_step(bench, "rows: 2, per: style", "scripted: auto, faults: {transport: 3}")
    result = faulty.run()
    assert result.stopped is None
    assert sum(counts.pending for counts in result.ledger.values())
    assert faulty.audit() == []
    every_step(bench, "rows: 2, per: style")
    faulty.whole()
    assert faulty.tables() == first
