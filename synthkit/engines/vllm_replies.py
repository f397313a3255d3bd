"""What vLLM gives, as samples or as a vector."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from synthkit.core.engine import Completion, Request, Sample, Usage
from synthkit.core.errors import TransportError
from synthkit.core.vector import to_text
from synthkit.engines.reasoning import split_reasoning


def completion(request: Request, output: Any, labels: Mapping[str, int], copies: int) -> Completion:
    """What vLLM gave, as samples in order; a greedy reply stands for all `n`."""
    if request.embed:
        numbers = output.outputs.data.float().tolist()
        return Completion((Sample(to_text(numbers)),), Usage(prompt=len(output.prompt_token_ids)))
    if broken := {each.finish_reason for each in output.outputs} & {"error", "abort"}:
        raise TransportError(f"vLLM ended the reply by itself ({broken.pop()}); its log says why")
    samples = []
    for each in sorted(output.outputs, key=lambda each: each.index):
        finish: Literal["stop", "length"] = "length" if each.finish_reason == "length" and not labels else "stop"
        if labels:
            logprobs = {label: each.logprobs[0][token].logprob for label, token in labels.items()}
            samples.append(Sample(max(logprobs, key=lambda label: logprobs[label]), label_logprobs=logprobs))
        else:
            text, reasoning = split_reasoning(each.text, request.role.thinking, finish)
            samples.append(Sample(text, finish, reasoning))
    usage = Usage(
        prompt=len(output.prompt_token_ids),
        cached=output.num_cached_tokens or 0,
        completion=sum(len(each.token_ids) for each in output.outputs),
    )
    return Completion(tuple(samples * copies), usage)
