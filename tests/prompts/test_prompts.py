"""Every shipped prompt, rendered with an example row; the golden file is what a reviewer reads."""

import re
from pathlib import Path
from typing import Any

import pytest

from synthkit.core.prompt import PromptLibrary
from synthkit.core.resources import shipped
from synthkit.core.toolset import load_toolset
from synthkit.core.types.reply import stored_call
from tests.conftest import Golden

PROMPTS = shipped("prompts")
NAMES = sorted(path.relative_to(PROMPTS).as_posix() for path in PROMPTS.rglob("*.j2"))
TOOLS = load_toolset(shipped("toolsets") / "deep_research.yaml")

ROWS: dict[str, dict[str, Any]] = {
    "en": {
        "title": "Kestrel Bridge",
        "published": "2024-05-10",
        "sentences": ["The Kestrel Bridge opened in 1931.", "It carried 38,400 vehicles a day in 2022."],
        "statements": [
            {"id": "a", "entity": "Kestrel Bridge", "time": "1931", "statement": "The Kestrel Bridge opened in 1931."},
            {"id": "b", "entity": "Brennick", "time": None, "statement": "The Kestrel Bridge stands in Brennick."},
        ],
        "style": "multi_hop",
        "question": "In which year did the bridge in Brennick open?",
        "answer": "1931",
        "used": ["a", "b"],
        "analysis": "The town is given, the bridge is not. I look for the bridges of Brennick first.",
        "call": {
            "name": "search",
            "arguments": {"query": ["Brennick bridge"]},
            "final": None,
            "text": "Brennick bridge",
        },
        "criterion": "logic",
        "evidence": [{"id": "a", "statement": "The Kestrel Bridge opened in 1931."}],
        "parts": ["Which bridge stands in Brennick?", "In which year did that bridge open?"],
        "draft": "A bridge in Brennick is asked for. I guess it is the Kestrel Bridge; perhaps it opened in 1925.",
        "first_answer": "1925",
        "fixes": ["I supposed that it opened in 1925, but it opened in 1931."],
        "chain": "The bridge in Brennick is the Kestrel Bridge. The Kestrel Bridge opened in 1931. So it is 1931.",
        "final": "1931",
        "given": "the year 1931",
        "system": "You answer questions about towns.",
        "last": True,
        "steps": [
            {
                "thought": "The town is given, the bridge is not.",
                "call": stored_call({"name": "search", "arguments": {"query": ["Brennick bridge"]}}),
                "response": "Kestrel Bridge: a bridge in Brennick, opened in 1931.",
                "options": None,
                "chosen": None,
            },
            {
                "thought": None,
                "call": stored_call({"say": "Do you mean the road bridge?"}),
                "response": "Yes.",
                "options": None,
                "chosen": None,
            },
            {
                "thought": None,
                "call": stored_call({"final": "1931"}),
                "response": None,
                "options": None,
                "chosen": None,
            },
        ],
    },
    "zh": {
        "title": "沧浪大桥",
        "published": "2024-05-10",
        "sentences": ["沧浪大桥于1998年通车。", "2022年它每天通过三万辆汽车。"],
        "statements": [
            {"id": "a", "entity": "沧浪大桥", "time": "1998", "statement": "沧浪大桥于1998年通车。"},
            {"id": "b", "entity": "青岚市", "time": None, "statement": "沧浪大桥位于青岚市。"},
        ],
        "style": "multi_hop",
        "question": "青岚市的那座大桥是哪一年通车的?",
        "answer": "1998年",
        "used": ["a", "b"],
        "analysis": "题目给出城市,没有给出桥名。先找青岚市有哪些大桥。",
        "call": {"name": "search", "arguments": {"query": ["青岚市 大桥"]}, "final": None, "text": "青岚市 大桥"},
        "criterion": "logic",
        "evidence": [{"id": "a", "statement": "沧浪大桥于1998年通车。"}],
        "parts": ["青岚市有哪座大桥?", "那座大桥是哪一年通车的?"],
        "draft": "问题问的是青岚市的一座大桥。我猜是沧浪大桥,也许1995年通车。",
        "first_answer": "1995年",
        "fixes": ["我原以为它1995年通车,其实是1998年。"],
        "chain": "青岚市的大桥是沧浪大桥。沧浪大桥于1998年通车。所以答案是1998年。",
        "final": "1998年",
        "given": "公元1998年",
        "system": "你回答关于城市的问题。",
        "last": True,
        "steps": [
            {
                "thought": "题目给出城市，没有给出桥名。",
                "call": stored_call({"name": "search", "arguments": {"query": ["青岚市 大桥"]}}),
                "response": "沧浪大桥位于青岚市，1998年通车。",
                "options": None,
                "chosen": None,
            },
            {
                "thought": None,
                "call": stored_call({"say": "您指的是公路桥吗？"}),
                "response": "是的。",
                "options": None,
                "chosen": None,
            },
            {
                "thought": None,
                "call": stored_call({"final": "1998年"}),
                "response": None,
                "options": None,
                "chosen": None,
            },
        ],
    },
}


for row in ROWS.values():  # a turn in the middle of a run
    first, second, *_ = row["steps"]
    row |= {"past": [first], "step": second, "k": 2, "thought": row["analysis"], "length": 1200}
    row |= {
        "state": row["draft"],
        "call": row["call"] | {"say": None},
        "response": first["response"],
        "next_state": row["chain"],
    }
    row |= {"seen": {"call": first["call"], "response": first["response"]}}
    row |= {"count": 4, "thoughts": True, "say": True, "correct": True}
    real = {"thought": first["thought"], "call": first["call"]}
    first |= {"options": [{"thought": row["analysis"], "call": row["steps"][-1]["call"]}, real], "chosen": "2"}


def rendered(name: str) -> str:
    prompt = PromptLibrary([PROMPTS]).get(name)
    context = {**ROWS[name.split("/")[0]], "vars": {}, "tools": TOOLS.prompt_view()}
    if name.endswith("_document.j2"):
        text, spans = prompt.document(context)
        parts = [f"[{span['role']}] {text[span['start'] : span['end']]}" for span in spans]
        return text + "\n\n=== spans\n" + "\n".join(parts) + "\n"
    return "\n".join(f"=== {message.role}\n{message.content}" for message in prompt.messages(context)) + "\n"


@pytest.mark.parametrize("name", NAMES)
def test_it_renders_as_reviewed(name: str, golden: Golden) -> None:
    golden(rendered(name), Path(__file__).parent / "golden" / f"{name.replace('/', '.')}.txt")


@pytest.mark.parametrize("name", NAMES)
def test_it_is_versioned(name: str) -> None:
    assert PromptLibrary([PROMPTS]).get(name).version


@pytest.mark.parametrize("name", [name for name in NAMES if not name.endswith("_document.j2")])
def test_what_all_rows_share_comes_first(name: str) -> None:
    """Prefix caching pays for the part before the first difference of two rows: the most of a prompt."""
    prompt = PromptLibrary([PROMPTS]).get(name)
    row = ROWS[name.split("/")[0]]
    other = {**row, "title": "x", "published": None, "sentences": ["y"], "statements": [], "used": []}
    other |= {"question": "x", "analysis": "y", "style": "survey", "criterion": "content"}
    other |= {"evidence": [], "parts": [], "draft": "y", "fixes": [], "chain": "y", "final": "z", "given": "z"}
    other |= {"steps": [], "past": [], "state": "", "response": "z"}
    if "/service/" not in name:  # there it is the policy, one for all rows
        other["system"] = None
    shared = {"vars": {}, "tools": TOOLS.prompt_view()}
    texts = ["".join(m.content for m in prompt.messages({**each, **shared})) for each in (row, other)]
    common = next(at for at, (a, b) in enumerate(zip(*texts, strict=False)) if a != b)
    assert common >= 0.75 * len(texts[1])


def test_both_languages_have_the_same_prompts() -> None:
    names = [{n.split("/", 1)[1] for n in NAMES if n.startswith(f"{language}/")} for language in ("en", "zh")]
    assert names[0] == names[1]


@pytest.mark.parametrize("name", [name for name in NAMES if re.search(r"/(fas|has|service)/\w+_document\.j2$", name)])
def test_every_character_of_a_plain_document_has_one_role(name: str) -> None:
    """Chats have their turns' marks outside of roles: what a trainer's chat template writes is no one's text."""
    text, spans = PromptLibrary([PROMPTS]).get(name).document({**ROWS[name.split("/")[0]], "vars": {}})
    assert [0, *(span["end"] for span in spans)] == [*(span["start"] for span in spans), len(text)]
