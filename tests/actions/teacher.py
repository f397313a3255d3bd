"""A simple teacher for the shipped English prompts: copies sentences, asks by cloze, plans by the subject.

Asked to reason, it supposes 1066, and corrects that by the fact whose cloze the question is.
"""

from __future__ import annotations

import json
import re

from synthkit.core.engine import Request, Sample

_NUMBERED = re.compile(r"^\[(\d+)\] (.*)$", re.M)
_NAME = re.compile(r"(?<!^)[A-Z]\w+(?: of)?(?: [A-Z]\w+)+|[A-Z]\w+(?: of)?(?: [A-Z]\w+)+", re.M)
_FIGURE = re.compile(r"\d[\d,.]*\d|\d+")


def reply(request: Request) -> str | Sample | list[str | Sample]:
    """What `scripted: <this file>:reply` answers."""
    text = request.messages[-1].content
    if request.labels:
        return "pass"
    if "Turn a passage into statements" in text:
        made = _claims(text)
    elif "Write one hard question" in text:
        made = _question(text)
    elif "You answer a hard question" in text:
        made = _draft(text)
    elif "You correct a draft" in text:
        made = _refined(text)
    else:
        made = _plan(text)
    return json.dumps(made, ensure_ascii=False)


def _claims(text: str) -> object:
    claims = []
    for number, sentence in _NUMBERED.findall(text):
        name = _NAME.search(sentence)
        year = re.search(r"\b(1[5-9]|20)\d\d\b", sentence)
        if name is not None:
            claims.append(
                {
                    "entity": name[0],
                    "aliases": re.findall(r"\(([A-Z]{3,})\)", sentence),
                    "statement": sentence,
                    "sentence": int(number),
                    "time": year[0] if year else None,
                }
            )
    return {"claims": claims[:8]}


def _question(text: str) -> object:
    style = text.rsplit("Style: ", 1)[1].strip()
    shown = [(int(n), line.partition(": ")[0], line.partition(": ")[2]) for n, line in _NUMBERED.findall(text)]
    turn = len(style) % len(shown)
    number, subject, statement = next((s for s in shown[turn:] + shown if _FIGURE.search(s[2])), shown[0])
    subject = re.sub(r" \(.*?\)$", "", subject)
    figures = _FIGURE.findall(statement)
    answer = max(figures, key=len) if figures else statement.split()[-1].strip(".")
    cloze = statement.replace(answer, "what")
    used = [number, *[each[0] for each in shown if each[0] != number][:1]]
    return {"question": f"In a {style} sense, about {subject}: {cloze[:300]}?", "answer": answer, "used": used}


def _plan(text: str) -> object:
    question = text.rsplit("Question: ", 1)[1].strip()
    subject = question.partition("about ")[2].partition(":")[0]
    analysis = (
        f"The question is about {subject}. What it asks for is not known yet; a source on {subject} must be found."
    )
    return {"analysis": analysis, "call": {"name": "search", "arguments": {"query": [f"{subject} facts and figures"]}}}


def _draft(text: str) -> object:
    question = text.rsplit("Question: ", 1)[1].strip()
    draft = f"The question gives much and asks for one thing. {question} I suppose that it is 1066, but I am not sure."
    return {"parts": [question[:200]], "draft": draft, "first_answer": "1066"}


def _refined(text: str) -> object:
    question = text.rsplit("Question: ", 1)[1].partition("\nFacts:")[0]
    facts = text.rsplit("\nFacts:\n", 1)[1].partition("\nParts:")[0].removeprefix("- ").split("\n- ")
    found = [(fact, figure) for fact in facts for figure in _FIGURE.findall(fact)]
    fact, answer = next((each for each in found if each[0].replace(each[1], "what")[:300] in question), (facts[0], "?"))
    chain = f"The question takes up this: {fact} What it leaves out is what it asks for. So the answer is {answer}."
    return {"fixes": [f"I supposed 1066, but it is {answer}."], "chain": chain, "final": answer}
