"""A programmer and a service agent by rule, for the shipped English prompts of both domains."""

from __future__ import annotations

import json
import re

from synthkit.core.engine import Request


def reply(request: Request) -> str:
    """What `scripted: <this file>:reply` answers."""
    first = request.messages[0].content
    if request.labels:
        return "pass"
    if "Write " in first and '"alternatives"' in first:
        made: object = {"alternatives": _alternatives(first)}
    elif first.startswith("You are a service agent"):
        made = _service(first.rpartition("Customer: ")[2])
    elif "the first move only" in first:
        issue = first.rpartition("Issue: ")[2].strip()
        analysis = f"What happens is not what should happen: {issue[:200]} The code behind it has to be found first."
        made = {"analysis": analysis, "call": {"name": "search_code", "arguments": {"query": _words(issue)}}}
    else:
        made = _turn(request)
    return json.dumps(made, ensure_ascii=False)


def _words(issue: str) -> list[str]:
    words = {"digit": "digit minutes", "midnight": "midnight minutes", "group": "group price", "65": "fare crowns"}
    return next(([each] for word, each in words.items() if word in issue), ["board trains"])


def _turn(request: Request) -> dict[str, object]:
    """Search, open what was found, say what is wrong there; after an error the same again."""
    issue = request.messages[0].content.rpartition("Issue: ")[2]
    seen = request.messages[-1].content if len(request.messages) > 1 else ""
    address = re.search(r"^- .*\(([\w/]+\.py)\)$", seen, re.M)
    found = re.findall(r"^def (\w+)", seen, re.M)
    if re.match(r"[\w/]+\.py \(", seen) and found:
        wanted = {"digit": "to_text", "midnight": "until", "group": "group_fare", "65": "fare"}
        function = next((each for word, each in wanted.items() if word in issue), "departures")
        file = seen.partition(" ")[0]
        return {"thought": f"I have read {file}.", "call": {"final": f"In {file} the fault is in {function}."}}
    if address:
        return {"thought": "I open the first.", "call": {"name": "open_file", "arguments": {"url": [address[1]]}}}
    return {"thought": "I look for the code.", "call": {"name": "search_code", "arguments": {"query": _words(issue)}}}


def _alternatives(prompt: str) -> list[dict[str, object]]:
    """As many moves as are asked for, with the tools at hand."""
    count = int(re.search(r"Write (\d+) ", prompt)[1])  # type: ignore[index]
    if "search_code" in prompt:
        calls: list[dict[str, object]] = [
            {"name": "run", "arguments": {"code": "print(f'{5:02}')"}},
            {"name": "open_file", "arguments": {"url": ["run.py"]}},
            {"name": "search_code", "arguments": {"query": ["tests"]}},
        ]
    else:
        calls = [
            {"say": "Could you tell me the reason?"},
            {"name": "list_all_airports", "arguments": {}},
            {"name": "transfer_to_human_agents", "arguments": {"summary": "A request that the policy leaves open."}},
        ]
    thoughts = '[{"thought"' in prompt
    return [{"thought": "This may help.", "call": each} if thoughts else {"call": each} for each in calls[:count]]


def _service(customer: str) -> dict[str, object]:
    code = re.search(r"\b(?=\w*\d)[A-Z0-9]{6}\b", customer)
    call: dict[str, object] = {"say": "Please give me your user id, the reservation number and the reason."}
    if code:
        call = {"name": "get_reservation_details", "arguments": {"reservation_id": code[0]}}
    return {"analysis": f"What is wanted: {customer.strip()[:120]} What holds now is to be looked up.", "call": call}
