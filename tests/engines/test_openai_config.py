"""The `openai:` entry, the bodies it sends and what it reads from errors."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from pydantic import ValidationError

from synthkit.core.engine import Constraint
from synthkit.core.errors import EngineError, RequestRefused
from synthkit.engines.openai_config import OpenAIConfig
from synthkit.engines.openai_wire import Faulty, body, message_of, read, refusal, rest_of

SCHEMA = {
    "type": "object",
    "properties": {"a": {"type": "string"}},
    "required": ["a"],
    "additionalProperties": False,
}


def test_urls_may_be_one_and_get_their_version() -> None:
    assert OpenAIConfig(openai="m", urls="http://host:8000").urls == ("http://host:8000/v1",)
    assert OpenAIConfig(openai="m", urls=["http://a/v1/", "https://b/api"]).urls == ("http://a/v1", "https://b/api")


@pytest.mark.parametrize("url", ["host:8000", "ftp://host", "http://user:word@host/v1", ""])
def test_what_is_no_url_is_refused(url: str) -> None:
    with pytest.raises(ValidationError):
        OpenAIConfig(openai="m", urls=url)


def test_a_key_is_a_reference_and_read_late(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValidationError, match="never stands in a file"):
        OpenAIConfig(openai="m", key="sk-123")
    config = OpenAIConfig(openai="m", key="${env.SYNTHKIT_TEST_KEY}")
    monkeypatch.delenv("SYNTHKIT_TEST_KEY", raising=False)
    with pytest.raises(EngineError, match="SYNTHKIT_TEST_KEY is not set"):
        config.secret()
    monkeypatch.setenv("SYNTHKIT_TEST_KEY", "sk-123")
    assert config.secret() == "sk-123"
    assert "sk-123" not in repr(config) + config.model_dump_json() + str(config.identity())


def test_identity_has_no_place() -> None:
    one = OpenAIConfig(openai="m", urls="http://a", max_concurrency=3, timeout=5)
    two = OpenAIConfig(openai="m", urls=["http://b", "http://c"])
    assert one.identity() == two.identity()
    assert OpenAIConfig(openai="m", extra={"reasoning_effort": "low"}).identity() != one.identity()


def test_capabilities_follow_the_way_constraints_are_sent() -> None:
    assert "json" in OpenAIConfig(openai="m").capabilities()
    assert "regex" not in OpenAIConfig(openai="m").capabilities()
    assert {"regex", "choice", "grammar"} <= OpenAIConfig(openai="m", structured="vllm").capabilities()
    assert "json" not in OpenAIConfig(openai="m", structured="none").capabilities()


def test_only_what_was_set_is_sent(ask: Any) -> None:
    made = body(ask(), "m", "response_format", 1, 0)
    assert set(made) == {"model", "messages", "temperature", "max_tokens", "stream"}
    role = {"top_k": 5, "stop": ("x",), "thinking": False, "extra": {"min_tokens": 2}}
    made = body(ask(n=3, seed=7, role=role), "m", "response_format", 3, 2)
    assert (made["n"], made["seed"], made["top_k"], made["stop"], made["min_tokens"]) == (3, 9, 5, ["x"], 2)
    assert made["chat_template_kwargs"]["enable_thinking"] is False


@pytest.mark.parametrize(
    ("structured", "constraint", "expected"),
    [
        ("vllm", Constraint("json", SCHEMA), {"structured_outputs": {"json": SCHEMA}}),
        ("vllm", Constraint("choice", ("a", "b")), {"structured_outputs": {"choice": ["a", "b"]}}),
        ("sglang", Constraint("regex", "a+"), {"regex": "a+"}),
        ("sglang", Constraint("choice", ("a.", "b")), {"regex": r"(a\.|b)"}),
        ("sglang", Constraint("grammar", "root ::= 'a'"), {"ebnf": "root ::= 'a'"}),
        ("none", Constraint("json", SCHEMA), {}),
    ],
)
def test_constraints_go_out_as_the_server_wants(ask: Any, structured: Any, constraint: Any, expected: Any) -> None:
    plain = body(ask(), "m", structured, 1, 0)
    made = body(ask(constraint=constraint), "m", structured, 1, 0)
    assert {name: value for name, value in made.items() if name not in plain} == expected


def test_response_format_is_strict_only_where_that_holds(ask: Any) -> None:
    def strict(schema: dict[str, Any]) -> bool:
        made = body(ask(constraint=Constraint("json", schema)), "m", "response_format", 1, 0)
        return bool(made["response_format"]["json_schema"]["strict"])

    assert strict(SCHEMA)
    assert not strict(SCHEMA | {"required": []})
    assert not strict({"type": "object", "additionalProperties": {"type": "string"}})
    with pytest.raises(RequestRefused, match="structured: vllm"):
        body(ask(constraint=Constraint("regex", "a")), "m", "response_format", 1, 0)


@pytest.mark.parametrize(
    ("status", "text", "reason"),
    [
        (400, '{"error": {"message": "maximum context length is 10", "code": "context_length_exceeded"}}', "too long"),
        (400, '{"message": "The decoder prompt is longer than the maximum model length of 5"}', "too long"),
        (413, "", "too long"),
        (400, '{"detail": "bad temperature"}', "refused"),
        (422, '{"error": "nope"}', "refused"),
    ],
)
def test_what_a_4xx_means(status: int, text: str, reason: str) -> None:
    assert refusal(status, text).reason == reason


def test_messages_are_found_wherever_they_stand() -> None:
    assert message_of('{"error": {"message": "a  b"}}') == "a b"
    assert message_of('{"detail": "x"}') == "x"
    assert message_of("<html>") == "<html>"
    assert message_of("") == "no explanation"


def test_retry_after_in_seconds_and_as_a_date() -> None:
    assert rest_of("2.5") == 2.5
    later = rest_of(format_datetime(datetime.now(UTC) + timedelta(seconds=30), usegmt=True))
    assert later is not None
    assert 25 < later <= 30
    assert rest_of(format_datetime(datetime.now(UTC) - timedelta(seconds=30), usegmt=True)) == 0
    assert rest_of("86400") == 300
    assert rest_of("soon") is None
    assert rest_of(None) is None


def choice(**fields: Any) -> dict[str, Any]:
    return {"index": 0, "message": {"role": "assistant", "content": "x"}, "finish_reason": "stop"} | fields


@pytest.mark.parametrize(
    "payload", [None, [], {}, {"choices": []}, {"choices": [{}]}, {"choices": [choice(message=None)]},
                {"choices": [choice(finish_reason="abort")]}, {"choices": "x"}, {"choices": [3]}],
)  # fmt: skip
def test_a_reply_that_is_none_is_a_fault(ask: Any, payload: Any) -> None:
    with pytest.raises(Faulty):
        read(ask(), payload)


def test_choices_are_put_in_order_and_reasoning_apart(ask: Any) -> None:
    second = choice(index=1, message={"content": "<think>hm</think>two"}, finish_reason="length")
    first = choice(message={"content": "one", "reasoning_content": "because"})
    answer = read(ask(n=2), {"choices": [second, first], "usage": {"prompt_tokens": 3, "completion_tokens": 4}})
    assert [sample.text for sample in answer.samples] == ["one", "two"]
    assert [sample.reasoning for sample in answer.samples] == ["because", "hm"]
    assert [sample.finish for sample in answer.samples] == ["stop", "length"]
    assert (answer.usage.prompt, answer.usage.completion) == (3, 4)


def logprobs(**tokens: float) -> dict[str, Any]:
    top = [{"token": token, "logprob": value} for token, value in tokens.items()]
    return choice(logprobs={"content": [{"token": "x", "logprob": 0.0, "top_logprobs": top}]})


def test_labels_are_read_and_a_missing_one_gets_the_floor(ask: Any) -> None:
    request = ask(labels=("yes", "no"))
    (sample,) = read(request, {"choices": [logprobs(yes=-0.1, other=-5.0)]}).samples
    assert sample.label_logprobs == {"yes": pytest.approx(-0.1), "no": -5.0}
    (sample,) = read(request, {"choices": [logprobs(**{" no": -1.0, "no": -1.0, "yes": -3.0})]}).samples
    assert sample.text == "no"
    assert sample.label_logprobs["no"] == pytest.approx(-0.307, abs=0.01)
    with pytest.raises(RequestRefused, match="none of the labels"):
        read(request, {"choices": [logprobs(other=-5.0)]})
    with pytest.raises(RequestRefused, match="no log-probabilities"):
        read(request, {"choices": [choice()]})
