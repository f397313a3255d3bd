"""A teacher that shortens thoughts: one text for each step shown to it."""

from __future__ import annotations

import json
import re
from typing import Any


def reply(request: Any) -> str:
    text = "".join(message.content for message in request.messages)
    return json.dumps({"summaries": [f"Short {number}." for number in re.findall(r"^(?:Step|第) (\d+)", text, re.M)]})
