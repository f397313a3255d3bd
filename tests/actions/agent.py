"""An agent by rule, on top of the simple teacher: searches, opens the first result, reads the answer off."""

from __future__ import annotations

import json
import re

from synthkit.core.engine import Request, Sample
from tests.actions import teacher


def reply(request: Request) -> str | Sample | list[str | Sample]:
    """What `scripted: <this file>:reply` answers."""
    if not request.messages[0].content.startswith("You are a research agent. You answer a question step by step"):
        return teacher.reply(request)
    return json.dumps(turn(request), ensure_ascii=False)


def turn(request: Request) -> dict[str, object]:
    """Search, visit, answer; after an error the same again."""
    question = request.messages[0].content.rpartition("Question: ")[2].partition("\n")[0]
    subject, _, cloze = question.partition("about ")[2].rstrip("?").partition(": ")
    seen = request.messages[-1].content if len(request.messages) > 1 else ""
    last = "This is the last turn" in seen
    before, _, after = cloze.partition("what")
    found = re.search(re.escape(before) + r"(\S.*?)" + re.escape(after), seen)
    if found and before:
        return {"thought": "The page says it.", "call": {"final": found[1].strip(".")}}
    if last:
        return {"thought": "It was not found.", "call": {"final": "unknown"}}
    made = [json.loads(m.content)["call"]["name"] for m in request.messages if m.role == "assistant"]
    failed = seen.startswith(("Error", "(nothing"))
    address = re.search(r"^- .*\(([\w-]+)\)$", seen, re.M)
    if address and not failed and made[-1] == "search":
        call = {"name": "visit", "arguments": {"url": [address[1]], "goal": cloze[:300]}}
        return {"thought": "The first result may have it.", "call": call}
    call = {"name": "search", "arguments": {"query": [f"{subject} {cloze}"[:200] if made else subject[:200]]}}
    return {"thought": "" if made else f"I look for {subject}.", "call": call}
