"""Constant replies: the engine costs nothing, so what is measured is synthkit."""

from __future__ import annotations

from synthkit.core.engine import Request

_TEXT = "Which harbour of the northern coast handled the most containers in the year the bridge was opened to traffic?"
_PLAN = "The question names two clues, a year and a coast; the year of the bridge comes first, then the figures."
_REPLIES = {
    "questioner": '{"question": "' + _TEXT + '"}',
    "planner": '{"analysis": "' + _PLAN + '", "query": "northern coast harbour containers bridge year"}',
    "judge": '{"reason": "It names what is known and looks for what is not.", "good": "pass"}',
    "writer": '{"answer": "' + _PLAN + '"}',
}


def reply(request: Request) -> str:
    """A reply by the role that is asked."""
    return _REPLIES[request.model]
