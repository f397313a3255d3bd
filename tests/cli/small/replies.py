"""What the model of the small run says: decided by words of the note."""

from __future__ import annotations

import json

from synthkit.core.engine import Request, Sample


def reply(request: Request) -> str | list[str | Sample]:
    """A label, or a title for each sample; a note with `broken` gets no JSON, one with `rain` is sad."""
    note = request.messages[0].content.rpartition("Note: ")[2].strip()
    if request.labels:
        return "pass"
    if "broken" in note:
        return ["no title comes to mind"] * request.n
    mood = "sad" if "rain" in note else "glad"
    return [json.dumps({"title": f"{number}: {note}", "mood": mood}) for number in range(request.n)]
