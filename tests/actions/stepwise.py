"""A teacher that writes steps anew and keeps reports, by rule: it shows in its replies what it was shown."""

from __future__ import annotations

import json
import re

from synthkit.core.engine import Request


def reply(request: Request) -> str:
    """A longer thought with the same call; or the old report and the beginning of the new result."""
    text = request.messages[0].content
    if '{"state": "..."}' in text:
        report = text.partition("Report so far:\n")[2] or text.partition("目前的报告：\n")[2]
        old = re.split(r"\n\n(?:Call: |调用：)", report)[0]
        seen = re.split(r"\n(?:Response: |结果：)", report)[-1].strip().splitlines()[0][:80]
        return json.dumps({"state": f"{'' if old.startswith(('(', '（')) else old} | {seen}"}, ensure_ascii=False)
    step = re.split(r"The step to write anew, step \d+\n|要重写的一步，第 \d+ 步\n", text)[-1]
    thought, call = re.split(r"\n?(?:Call: |调用：)", step)[:2]
    thought = thought.removeprefix("Thought: ").removeprefix("思考：")
    return json.dumps({"thought": f"I know what stands above. {thought}", "call": json.loads(call)}, ensure_ascii=False)
