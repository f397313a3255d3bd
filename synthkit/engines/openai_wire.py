"""The OpenAI protocol (chat, embeddings): a request as a body, a body as samples, an error as what to do about it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache
from math import exp, log
from typing import Any

import orjson

from synthkit.core.engine import Constraint, Request, Sample, Usage
from synthkit.core.errors import RequestRefused
from synthkit.core.vector import from_text, to_text
from synthkit.engines.openai_config import Structured
from synthkit.engines.reasoning import split_reasoning

TOP_LOGPROBS = 20
"""The most the protocol allows."""
_TOO_LONG = re.compile(
    r"context[ _]length|context window|maximum context|max_model_len|maximum model length|too long|too many tokens"
    r"|string_above_max_length|exceeds? the (?:model|limit|available context)|input is longer",
    re.IGNORECASE,
)
_LONGEST_REST = 300.0


class Faulty(Exception):
    """A reply with status 200 that is no reply; worth asking again."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The samples a server gave to one HTTP request."""

    samples: tuple[Sample, ...]
    usage: Usage
    empty: bool
    """Whether a sample has neither text nor reasoning: a fault more often than a reply."""


def body(request: Request, model: str, structured: Structured, n: int, index: int) -> dict[str, Any]:
    """The JSON body that asks for `n` samples, of which the first has `index`, or for the vector of a text."""
    role = request.role
    if request.embed:
        text = request.messages[0].content
        return {"model": model, "input": text, "encoding_format": "base64"} | role.extra
    made: dict[str, Any] = {
        "model": model,
        "messages": [{"role": message.role, "content": message.content} for message in request.messages],
        "temperature": role.temperature,
        "max_tokens": role.max_tokens,
        "stream": False,
    }
    if role.top_p != 1.0:
        made["top_p"] = role.top_p
    if role.top_k:
        made["top_k"] = role.top_k
    if role.min_p:
        made["min_p"] = role.min_p
    if role.presence_penalty:
        made["presence_penalty"] = role.presence_penalty
    if role.frequency_penalty:
        made["frequency_penalty"] = role.frequency_penalty
    if role.repetition_penalty != 1.0:
        made["repetition_penalty"] = role.repetition_penalty
    if role.stop:
        made["stop"] = list(role.stop)
    if n > 1:
        made["n"] = n
    if request.seed is not None:
        made["seed"] = (request.seed + index) % (1 << 31)
    thinking = False if request.labels and role.thinking is not None else role.thinking
    if thinking is not None:
        made["chat_template_kwargs"] = {"enable_thinking": thinking, "thinking": thinking}
    if request.labels:
        made |= {"max_tokens": 1, "temperature": 0, "logprobs": True, "top_logprobs": TOP_LOGPROBS}
    elif request.constraint is not None:
        made |= _constraint(request.constraint, structured)
    return made | role.extra


def _constraint(constraint: Constraint, structured: Structured) -> dict[str, Any]:
    """The field that holds the constraint; each kind of server has its own."""
    kind, value = constraint.kind, constraint.value
    if structured == "none":
        return {}
    if structured == "vllm":
        # Before 0.12 vLLM ignored this field; `guided_json` and its like are ignored by all later ones.
        return {"structured_outputs": {kind: list(value) if kind == "choice" else value}}
    if kind == "json":
        # Servers that honour `strict` refuse a schema with open objects or optional properties.
        schema = {"name": "reply", "schema": value, "strict": _strict(orjson.dumps(value))}
        return {"response_format": {"type": "json_schema", "json_schema": schema}}
    if structured == "sglang":
        if kind == "choice":
            return {"regex": "(" + "|".join(re.escape(choice) for choice in value) + ")"}
        return {"ebnf": value} if kind == "grammar" else {"regex": value}
    raise RequestRefused(f"this server takes only JSON Schemas; a {kind} needs `structured: vllm` or `sglang`")


@lru_cache(maxsize=256)
def _strict(schema: bytes) -> bool:
    """Whether every object is closed and requires all it has: what `strict` means in the OpenAI API.

    By its text, because one schema comes with thousands of requests: walking it was a fifth of what a request costs.
    """
    return _closed(orjson.loads(schema))


def _closed(schema: Any) -> bool:
    if isinstance(schema, list):
        return all(_closed(item) for item in schema)
    if not isinstance(schema, Mapping):
        return True
    properties = schema.get("properties")
    if schema.get("type") == "object" and (
        not isinstance(properties, Mapping)
        or schema.get("additionalProperties") is not False
        or set(properties) != set(schema.get("required", ()))
    ):
        return False
    return all(_closed(value) for key, value in schema.items() if key not in ("enum", "const", "default"))


def read(request: Request, payload: Any) -> Answer:
    """The samples of a reply, in order of their index; Faulty where it is none."""
    if request.embed:
        return _vector(payload)
    choices = payload.get("choices") if isinstance(payload, Mapping) else None
    if not isinstance(choices, list) or not choices:
        raise Faulty("the reply has no choices")
    try:
        if len(choices) > 1:
            choices = sorted(choices, key=lambda choice: choice.get("index") or 0)
        samples = tuple([_sample(request, choice) for choice in choices])
        usage = _usage(payload)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise Faulty(f"the reply is malformed: {type(error).__name__}: {error}") from error
    return Answer(samples, usage, any(not sample.text and not sample.reasoning for sample in samples))


def _vector(payload: Any) -> Answer:
    """The one vector of a reply; servers that do not know base64 send numbers."""
    try:
        found = payload["data"][0]["embedding"]
        text = to_text(from_text(found) if isinstance(found, str) else found)
        return Answer((Sample(text),), _usage(payload), empty=False)
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise Faulty(f"the reply holds no vector: {type(error).__name__}: {error}") from error


def _usage(payload: Mapping[str, Any]) -> Usage:
    told = payload.get("usage") or {}
    return Usage(
        prompt=int(told.get("prompt_tokens") or 0),
        cached=int((told.get("prompt_tokens_details") or {}).get("cached_tokens") or 0),
        completion=int(told.get("completion_tokens") or 0),
    )


def _sample(request: Request, choice: Mapping[str, Any]) -> Sample:
    message = choice["message"]
    reason = choice.get("finish_reason")
    if reason in ("error", "abort"):
        raise Faulty(f"the server ended the reply by itself: {reason}")
    if reason == "content_filter":
        raise RequestRefused("the server's content filter stopped the reply", "content filter")
    if request.labels:
        return _labelled(request.labels, choice)
    finish = "length" if reason == "length" else "stop"
    text = message.get("content") or ""
    reasoning = message.get("reasoning_content") or message.get("reasoning")
    if reasoning is None:
        text, reasoning = split_reasoning(text, request.role.thinking, "length" if finish == "length" else "stop")
    return Sample(text, "length" if finish == "length" else "stop", reasoning)


def _labelled(labels: tuple[str, ...], choice: Mapping[str, Any]) -> Sample:
    """The labels' log-probabilities among the likeliest tokens; a label that is not there gets the least of them."""
    content = (choice.get("logprobs") or {}).get("content")
    if not content:
        raise RequestRefused("this server gives no log-probabilities; judge by votes instead", "label")
    top = content[0]["top_logprobs"]
    found: dict[str, float] = {}
    for entry in top:
        label = str(entry["token"]).strip()
        if label in labels:
            mass = exp(entry["logprob"]) + (exp(found[label]) if label in found else 0.0)
            found[label] = log(max(mass, 1e-30))
    if not found:
        likely = ", ".join(repr(entry["token"]) for entry in top[:5])
        raise RequestRefused(
            f"none of the labels {', '.join(labels)} is among the {len(top)} likeliest tokens ({likely}, ...)", "label"
        )
    floor = min(float(entry["logprob"]) for entry in top)
    logprobs = {label: found.get(label, floor) for label in labels}
    return Sample(max(logprobs, key=lambda label: logprobs[label]), label_logprobs=logprobs)


def message_of(text: str) -> str:
    """What an error body says, in one line."""
    try:
        told = orjson.loads(text)
    except orjson.JSONDecodeError:
        told = text
    while isinstance(told, Mapping):
        told = told.get("error") or told.get("message") or told.get("detail") or str(dict(told))
    return " ".join(str(told).split())[:500] or "no explanation"


def refusal(status: int, text: str) -> RequestRefused:
    """The error for a 4xx that blames the request."""
    reason = "too long" if status == 413 or _TOO_LONG.search(text) else "refused"
    return RequestRefused(f"the server refused the request ({status}): {message_of(text)}", reason)


def rest_of(header: str | None) -> float | None:
    """Seconds of a Retry-After header, given as seconds or as an HTTP date; at most five minutes."""
    if not header:
        return None
    try:
        seconds = float(header)
    except ValueError:
        try:
            at = parsedate_to_datetime(header)
        except ValueError:
            return None
        seconds = (at - datetime.now(UTC if at.tzinfo else None)).total_seconds()
    return min(max(seconds, 0.0), _LONGEST_REST)
