"""A teacher that answers each question as a test says: a reply for each sample, by the first word of the prompt."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

from synthkit.core.engine import Request

ASKED = re.compile(r"^(?:Question: |问题：)(.+)$", re.MULTILINE)
KINDS = {
    "You are a research agent": "plan",
    "你是一名研究智能体": "plan",
    "You answer a hard question": "draft",
    "请只凭记忆回答": "draft",
    "You correct a draft": "refine",
    "请订正一份": "refine",
    "You compare two answers": "same",
    "请比较同一问题": "same",
    "You check a piece of reasoning": "supported",
    "请对照事实": "supported",
}


def reply(request: Request) -> list[str]:
    """What `scripted: <this file>:reply` answers; REPLIES names the file, question -> kind -> replies."""
    text = request.messages[0].content  # a reply that does not fit is asked again below it
    kind = next(kind for begin, kind in KINDS.items() if text.startswith(begin))
    questions = ASKED.findall(text)
    told = json.loads(Path(os.environ["REPLIES"]).read_text(encoding="utf-8"))[questions[-1]][kind]
    replies = told if isinstance(told, list) else [told]
    return [
        each if isinstance(each, str) else json.dumps(each, ensure_ascii=False)
        for each in (replies[at % len(replies)] for at in range(request.n))
    ]
