"""The teacher of nano: its replies are what the shipped specs ask for, and pass their filters."""

from random import Random
from types import ModuleType
from typing import Any

import pytest

from synthkit.core.prompt import PromptLibrary
from synthkit.core.resources import shipped
from tests.examples.asked import NANO, failed, read, step

COUNT = 60


def test_every_prompt_that_a_model_is_asked_with_has_an_example(nano: dict[str, ModuleType]) -> None:
    sources = "".join((NANO / f"{name}.py").read_text() for name in nano)
    library = PromptLibrary([shipped("prompts")])
    asked = {
        name
        for name in library.names()
        if name.startswith("en/") and set(library.get(name).roles) <= {"system", "user", "assistant"}
        # other domains, and what no shipped spec asks unless it is told to, need a real teacher
        if not name.startswith(("en/coding/", "en/service/")) and name != "en/judge/run_succeeded.j2"
    }
    assert len(asked) >= 14
    assert {name for name in asked if f'"{name}"' not in sources} == set()


def test_statements(nano: dict[str, ModuleType]) -> None:
    claims, grounded = step("entity_memory", "claims"), step("entity_memory", "grounded")
    rng, reasons, total = Random(3), [], 0
    for _ in range(COUNT):
        example, title, sentences = nano["teacher"].statements_shown(rng, rng.randint(1, 5))
        row = {"title": title, "passage": " ".join(sentences), "sentences": sentences, "published": None}
        for claim in read(claims["generate"]["out"], example.reply, row)["claims"]:
            total += 1
            reasons.append(failed(grounded, row | claim))
    assert total > COUNT
    assert sum(r is not None for r in reasons) <= 0.03 * total, [r for r in reasons if r]


def test_questions_and_plans(nano: dict[str, ModuleType]) -> None:
    asked_for, sound = step("fas_planning", "questions"), step("fas_planning", "sound")
    drafts, sound_plans = step("plan_action", "drafts"), step("plan_action", "sound")
    rng, reasons = Random(4), []
    teacher = nano["teacher"]
    for n in range(COUNT):
        statements = teacher.pool_of(rng, 4)
        style = teacher.STYLES[n % 5]
        if (asked := teacher.question(rng, statements, style)) is None:
            continue
        row = {"style": style, "statements": teacher.shown(statements)}
        row |= read(asked_for["generate"]["out"], teacher.question_reply(asked), row)
        reasons.append(failed(sound, row))
        row |= read(drafts["generate"]["out"], teacher.plan_reply(asked), row)
        reasons.append(failed(sound_plans, row))
    assert len(reasons) > COUNT
    assert sum(r is not None for r in reasons) <= 0.03 * len(reasons), [r for r in reasons if r]


def test_reasoning(nano: dict[str, ModuleType]) -> None:
    drafts, chains, clean = (step("fas_reasoning", name) for name in ("drafts", "chains", "clean"))
    rng, reasons = Random(5), []
    reasoning, judging = nano["reasoning"], nano["judging"]
    for _ in range(COUNT):
        sentences, asked, _ = judging.two_questions(rng)
        evidence = [sentences[i - 1] for i in asked.used]
        row: dict[str, Any] = {"question": asked.text, "answer": asked.answer, "style": asked.style}
        row["evidence"] = nano["teacher"].shown(evidence)
        drafted = reasoning.draft(rng, asked)
        if any(len(part) > 200 for part in drafted.parts):
            continue
        row |= read(drafts["generate"]["out"], reasoning.draft_reply(drafted), row)
        made = reasoning.reason(rng, asked, evidence, drafted.first)
        row |= read(chains["generate"]["out"], reasoning.reply(made), row)
        reasons.append(failed(clean, row))
        assert made.final == asked.answer
    assert len(reasons) > COUNT / 2
    assert sum(r is not None for r in reasons) <= 0.03 * len(reasons), [r for r in reasons if r]


def test_planted_errors_change_the_plan_and_say_what_they_break(nano: dict[str, ModuleType]) -> None:
    judging, plan = nano["judging"], nano["teacher"].plan
    rng = Random(6)
    for kinds in judging.ERRORS.values():
        for kind in kinds:
            _, asked, other = judging.two_questions(rng)
            analysis, call, broken = judging.wrong(rng, asked, other, kind)
            assert (analysis, call) != plan(asked), kind
            assert broken and broken <= set(judging.CRITERIA)


def test_unsupported_reasoning_differs_from_the_sound_one(nano: dict[str, ModuleType]) -> None:
    judging, reasoning = nano["judging"], nano["reasoning"]
    rng = Random(7)
    for _ in range(COUNT):
        sentences, asked, _ = judging.two_questions(rng)
        made = reasoning.reason(rng, asked, [sentences[i - 1] for i in asked.used], "1")
        assert judging.unsupported(rng, made, asked) != made


def test_the_year_of_a_sentence(nano: dict[str, ModuleType]) -> None:
    prose = nano["prose"]
    assert prose.year_of("It sold 2,015 copies and 1980.5 more in 1994, and none in 1999.") == "1994"
    assert prose.year_of("The 1990s had 12345 of them.") is None
    assert prose.stem_of("Velmar was built on 3 May 1931 by Joost.") == "Velmar was built by Joost"
    assert prose.stem_of("In 1931 Velmar was built.") == "Velmar was built"
    assert prose.stem_of("Velmar is a 1931 film.") == "Velmar is a film"


@pytest.mark.parametrize(
    ("statement", "counts"),
    [
        ("Velmar Post handled 31,200 small boats in 2012.", [("31,200", "small boats")]),
        ("It has 4.5 million residents and 12 schools.", [("4.5 million", "residents"), ("12", "schools")]),
        ("It opened on 12 May 1999 in 1999 houses.", []),
        ("Its 3 of the towers fell.", []),
    ],
)
def test_figures_and_what_they_count(
    nano: dict[str, ModuleType], statement: str, counts: list[tuple[str, str]]
) -> None:
    assert nano["prose"].counts_of(statement) == counts


def test_a_style_that_nothing_can_be_asked_in_asks_for_a_year(nano: dict[str, ModuleType]) -> None:
    teacher, worlds = nano["teacher"], nano["worlds"]
    dated = worlds.Sentence(
        "It opened in 1931.", "Velmar Post", "Velmar Post opened in 1931.", "1931", "Velmar Post opened"
    )
    asked = teacher.question(Random(1), [dated], "numeric")
    assert (asked.kind, asked.answer) == ("a year", "1931")
    assert teacher.question(Random(1), [dated], "survey").kind == "a year"
    assert teacher.question(Random(1), [dated], "multi_hop") is None  # there is nothing to give as a clue
