"""The teacher as an agent: its moves are valid, rest on what was seen, and are written as the engine allows."""

import json
from collections.abc import Mapping
from random import Random
from types import ModuleType
from typing import Any

import pytest

from synthkit.actions.difficulty import REPLY as ATTEMPT
from synthkit.actions.options import same
from synthkit.actions.rollout import ERRORS
from synthkit.actions.rollout import REPLY as TURN
from synthkit.core.prompt import PromptLibrary
from synthkit.core.resources import shipped
from synthkit.core.types import parse_type
from synthkit.core.types.model import Object
from synthkit.core.types.reply import stored_call
from synthkit.core.types.schema import json_schema
from tests.examples.asked import NANO, failed, read, step, tools

Nano = Mapping[str, ModuleType]
COUNT = 40
OFFLINE = "offline_research"
ALTERNATIVES = {"alternatives": "[{thought: str(1..4000), call: call}](1..4)"}
BARE = {"alternatives": "[{call: call}](1..4)"}


def stored(steps: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Steps as a run holds them."""
    return [{**each, "call": stored_call(each["call"])} for each in steps]


def test_turns_rest_on_what_was_seen(nano: Nano) -> None:
    acting, rng, answered, again = nano["acting"], Random(1), 0, 0
    for _ in range(COUNT):
        done = acting.episode(rng)
        question, seen, before = done.asked.question, "", None
        for move, response in zip((*done.known.made, done.final), (*done.known.responses, ""), strict=True):
            call = read(TURN, acting.step_reply(move), {}, tools(OFFLINE))["call"]
            assert tools(OFFLINE).problem(call) is None
            arguments = move.call.get("arguments", {})
            assert all(query.split()[-1] in question.text for query in arguments.get("query", []))
            assert all(f"({url})" in seen for url in arguments.get("url", []))
            if before is not None and before[1] in ERRORS.values():
                assert move.call == before[0].call, "a call that failed is made again"
                again += 1
            seen, before = seen + response, (move, response)
        final = done.final.call["final"]
        answered += final == question.answer
        assert final == "unknown" or all(part in seen for part in final.split("; "))
    assert answered >= 0.9 * COUNT and again >= 3


def test_alternatives_are_valid_distinct_and_new(nano: Nano) -> None:
    choosing, rng, sizes = nano["choosing"], Random(2), []
    for n in range(COUNT):
        web = n % 2 == 0
        toolset = tools("deep_research" if web else OFFLINE)
        run = choosing.run(rng, web=web)
        for at, known in enumerate(run.before):
            moves = choosing.alternatives(known, web=web)
            reply = nano["prompts"].compact({"alternatives": [move._asdict() for move in moves]})
            calls = [each["call"] for each in read(ALTERNATIVES, reply, {}, toolset)["alternatives"]]
            assert [toolset.problem(call) for call in calls] == [None] * len(calls)
            assert len({same(call) for call in calls}) == len(calls)
            made = {same(stored_call(each["call"])) for each in run.steps[:at]}
            if not (at and run.steps[at - 1]["response"] in ERRORS.values()):
                assert not made & {same(call) for call in calls}
            past = "".join(each["response"] for each in run.steps[:at])
            assert all(url in past for call in calls for url in (call["arguments"] or {}).get("url", []))
            sizes.append(len(moves))
    assert sum(size == 4 for size in sizes) >= 0.95 * len(sizes)


def test_steps_written_anew_pass_the_filters(nano: Nano) -> None:
    drafts, sound = step("rewrite_step", "drafts"), step("rewrite_step", "sound")
    stepping, rng, reasons = nano["stepping"], Random(3), []
    for _ in range(COUNT):
        run = nano["choosing"].run(rng, web=True)
        steps = stored(run.steps)
        for at in range(len(steps)):
            row = {"step": steps[at], "past": steps[:at]}
            row |= read(drafts["generate"]["out"], stepping.rewritten(run, at), row)
            reasons.append(failed(sound, row))
    assert sum(r is not None for r in reasons) <= 0.03 * len(reasons), [r for r in reasons if r]


def test_reports_keep_what_was_known_and_add_what_was_seen(nano: Nano) -> None:
    grounded, rng, stepping = step("step_samples", "grounded"), Random(4), nano["stepping"]
    for n in range(COUNT):
        run = nano["choosing"].run(rng, web=n % 2 == 0)
        for at, made in enumerate(stored(run.steps[:-1])):
            before, after = stepping.report(run, at), stepping.report(run, at + 1)
            assert after.startswith(before) and len(after) > len(before)
            row = {"question": run.question, "state": before, "seen": made, "next_state": after}
            assert failed(grounded, row) is None, (after, made)


def test_summaries_are_one_for_each_step(nano: Nano) -> None:
    out, rng = step("sft_c", "short")["generate"]["out"], Random(5)
    for _ in range(COUNT):
        example = nano["stepping"].summaries_example(rng)
        found = read(out, example.reply, {})["summaries"]
        assert f"Write {len(found)} summaries." in example.prompt
        assert all(each in example.prompt for each in found)


def test_attempts_are_guesses_of_the_right_form(nano: Nano) -> None:
    rng = Random(6)
    for _ in range(COUNT):
        example = nano["acting"].attempt_example(rng)
        found = read(ATTEMPT, example.reply, {})
        assert found["answer"] in found["thought"]


def test_prompts_are_those_that_synthkit_renders(nano: Nano) -> None:
    done = nano["acting"].episode(Random(9), errors=0.5)
    steps = [*done.known.steps(), {"thought": "", "call": done.final.call, "response": None}]
    view = [each | {} for each in tools(OFFLINE).prompt_view()]
    known = {"question": done.asked.question.text, "system": None}
    rows: dict[str, dict[str, Any]] = {
        "agent/turn": {"steps": steps[:-1], "last": True},
        "has/alternatives": {"past": steps[:-1], "count": 4, "thoughts": True, "say": False},
        "agent/rewrite_step": {"past": steps[:-1], "step": steps[-1]},
        "agent/state": {"state": "", "call": steps[0]["call"], "response": steps[0]["response"], "length": 1200},
        "sft/summaries": {"steps": steps},
    }
    library = PromptLibrary([shipped("prompts")])
    for name, row in rows.items():
        ours = nano["prompts"].messages(f"en/{name}.j2", OFFLINE, **known, **row)
        own = {key: stored(value) if key in ("steps", "past") else value for key, value in row.items()}
        own |= {key: stored_call(row[key]) for key in ("call",) if key in row}
        own |= {key: stored([row[key]])[0] for key in ("step",) if key in row}
        theirs = library.get(f"en/{name}.j2").messages({"tools": view, **known, **own})
        assert ours == [(each.role, each.content) for each in theirs], name


def test_replies_are_the_tokens_that_the_engine_allows(nano: Nano) -> None:
    """A key that the grammar forces in other tokens than nano has learned leads it astray."""
    llguidance = pytest.importorskip("llguidance")
    hugging = pytest.importorskip("llguidance.hf")
    masks = pytest.importorskip("llguidance.numpy")
    fast = pytest.importorskip("transformers").PreTrainedTokenizerFast.from_pretrained(NANO / "model")
    tokenizer = hugging.from_tokenizer(fast)
    acting, choosing, stepping, rng = nano["acting"], nano["choosing"], nano["stepping"], Random(7)
    cases = [
        (TURN, OFFLINE, acting.turns_example(rng)),
        (ALTERNATIVES, OFFLINE, choosing.alternatives_example(rng)),
        (ALTERNATIVES, "deep_research", choosing.alternatives_example(rng, web=True)),
        (BARE, "deep_research", choosing.alternatives_example(rng, web=True, bare=True)),
        (step("rewrite_step", "drafts")["generate"]["out"], "deep_research", stepping.rewrite_example(rng)),
        ({"state": "str(1..1200)"}, "deep_research", stepping.state_example(rng)),
        (step("sft_c", "short")["generate"]["out"], "deep_research", stepping.summaries_example(rng)),
        (ATTEMPT, "deep_research", acting.attempt_example(rng)),
    ]
    for out, toolset, example in cases:
        reply_type = Object({key: parse_type(declared) for key, declared in out.items()})
        schema = json.dumps(json_schema(reply_type, toolset=tools(toolset)))
        grammar = llguidance.LLMatcher.grammar_from_json_schema(schema, {"whitespace_flexible": False})
        mask = masks.allocate_token_bitmask(1, tokenizer.vocab_size)
        for reply in [tail.reply for tail in example.tails] or [example.reply]:
            matcher = llguidance.LLMatcher(tokenizer, grammar)
            for token in fast(reply, add_special_tokens=False).input_ids:
                masks.fill_next_token_bitmask(matcher, mask, 0)
                assert int(mask[0][token // 32]) >> token % 32 & 1, (reply, fast.decode([token]))
                matcher.consume_token(token)
            assert matcher.is_accepting()
