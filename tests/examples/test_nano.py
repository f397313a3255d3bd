"""The teacher of nano: its replies are what the shipped specs ask for, and pass their filters."""

import importlib
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from random import Random
from types import ModuleType
from typing import Any

import pytest
import yaml

from synthkit.core.expr import compile_expression
from synthkit.core.resources import shipped
from synthkit.core.toolset import load_toolset
from synthkit.core.types import parse_type, read_reply
from synthkit.core.types.model import Object

NANO = Path(__file__).parents[2] / "examples" / "nano"
MODULES = ("names", "prompts", "prose", "worlds", "teacher", "reasoning", "judging")
COUNT = 60


@pytest.fixture(scope="module")
def nano() -> Iterator[dict[str, ModuleType]]:
    """The modules of the example, which stand beside each other without a package."""
    before = {name: sys.modules.pop(name) for name in MODULES if name in sys.modules}
    sys.path.insert(0, str(NANO))
    try:
        yield {name: importlib.import_module(name) for name in MODULES}
    finally:
        sys.path.remove(str(NANO))
        for name in MODULES:
            sys.modules.pop(name, None)
        sys.modules.update(before)


def step(spec: str, name: str) -> dict[str, Any]:
    """A step of a shipped spec or composite, as written."""
    folder = "actions/composites" if spec == "plan_action" else "specs"
    root = (
        Path(shipped("specs")).parent
        if folder == "specs"
        else Path(importlib.import_module("synthkit").__file__ or "").parent
    )
    found: dict[str, Any] = yaml.safe_load((root / folder / f"{spec}.yaml").read_text(encoding="utf-8"))
    return found["steps"][name] | {"vars": found.get("vars", {})}


def read(made: dict[str, Any], reply: str, row: dict[str, Any]) -> Any:
    """The reply, parsed by the step's own out types."""
    fields = {key: parse_type(declared) for key, declared in made["generate"]["out"].items()}
    tools = load_toolset(shipped("toolsets") / "deep_research.yaml")
    assert list(json.loads(reply)) == list(fields), "keys in the declared order"
    return read_reply(Object(fields), reply, row=row, toolset=tools)


def failed(made: dict[str, Any], row: dict[str, Any]) -> str | None:
    """The first filter of a step that the row fails."""
    tools = load_toolset(shipped("toolsets") / "deep_research.yaml")
    for name, text in made["filter"].items():
        expression = compile_expression(text)
        if not expression.evaluate(row, vars=made["vars"], toolset=tools):
            return str(name)
    return None


def test_every_prompt_template_has_an_example(nano: dict[str, ModuleType]) -> None:
    sources = "".join((NANO / f"{name}.py").read_text() for name in MODULES)
    specs = [
        *shipped("specs").glob("*.yaml"),
        *(Path(parse_type.__code__.co_filename).parents[2] / "actions/composites").glob("*"),
    ]
    asked = {
        template
        for spec in specs
        if spec.stem in ("entity_memory", "fas_planning", "fas_reasoning", "plan_action")
        for template in re.findall(r"(?:/|en/)((?:\w+/)?\w+/\w+\.j2)", spec.read_text())
        if "document" not in template
    }
    assert len(asked) >= 7
    assert {t for t in asked if f'"en/{t}"' not in sources} == set()


def test_statements(nano: dict[str, ModuleType]) -> None:
    claims, grounded = step("entity_memory", "claims"), step("entity_memory", "grounded")
    rng, reasons, total = Random(3), [], 0
    for _ in range(COUNT):
        example, title, sentences = nano["teacher"].statements_shown(rng, rng.randint(1, 5))
        row = {"title": title, "passage": " ".join(sentences), "sentences": sentences, "published": None}
        for claim in read(claims, example.reply, row)["claims"]:
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
        row |= read(asked_for, teacher.question_reply(asked), row)
        reasons.append(failed(sound, row))
        row |= read(drafts, teacher.plan_reply(asked), row)
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
        row |= read(drafts, reasoning.draft_reply(drafted), row)
        made = reasoning.reason(rng, asked, evidence, drafted.first)
        row |= read(chains, reasoning.reply(made), row)
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
