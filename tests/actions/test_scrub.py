"""Secrets and personal data: what is found, what is not, and what becomes of the row."""

from __future__ import annotations

import json
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synthkit.actions.private import KINDS, find
from synthkit.actions.scrub import Scrub
from synthkit.core.row import Row
from synthkit.core.types import Object
from synthkit.testing.context import RecordingContext

from .fakes import FakeScope, types

COLUMNS = types(
    {
        "note": "str(..60)",
        "more": "str|none",
        "steps": [{"thought": "str|none", "call": "call", "response": "str|none"}],
        "mood": "glad|sad",
        "tokens": "int",
        "meta": "json",
    }
)
FREE: list[Any] = ["email", "card", "ip"]
"""Kinds that need no package."""


def kinds(text: str, *wanted: Any) -> list[tuple[str, str]]:
    return [(each.kind, text[each.start : each.end]) for each in find(text, wanted or FREE, ["US"])]


async def scrubbed(row: dict[str, Any], **more: Any) -> Any:
    action = Scrub.model_validate({"kinds": FREE, **more})
    return await RecordingContext(columns={name: COLUMNS[name] for name in row}).run(action, Row("r", row))


def test_addresses_are_found_within_any_text() -> None:
    text = "Ask jane.doe+x@mail.example.co.uk, or 请联系li@example.cn。 (<bob@x.org>), a@b, @name, 5 @ 3.org, v1.2@"
    assert kinds(text) == [
        ("email", "jane.doe+x@mail.example.co.uk"),
        ("email", "li@example.cn"),
        ("email", "bob@x.org"),
    ]


def test_cards_have_an_issuer_a_length_and_a_check_digit() -> None:
    assert kinds("4111 1111 1111 1111, 5500-0000-0000-0004, 378282246310005") == [
        ("card", "4111 1111 1111 1111"),
        ("card", "5500-0000-0000-0004"),
        ("card", "378282246310005"),
    ]
    assert (
        kinds("4111 1111 1111 1112, 978-3-16-148410-0, 1,436,000,000,000,000, 41111111111111111, x4111111111111111")
        == []
    )


def test_addresses_of_the_internet_are_those_that_somebody_has() -> None:
    text = "8.8.8.8 and 2001:4860:4860::8888, not 192.168.0.1, 999.1.1.1, ::1, 10:20:30, section 1.2.3"
    assert kinds(text) == [("ip", "8.8.8.8"), ("ip", "2001:4860:4860::8888")]


def test_telephones_are_known_by_their_country_and_groups() -> None:
    pytest.importorskip("phonenumbers")
    assert kinds("call +86 138 0013 8000 or (650) 253-0000", "phone") == [
        ("phone", "+86 138 0013 8000"),
        ("phone", "(650) 253-0000"),
    ]
    assert kinds("in 1914-1918, 13,960,000 people, ISBN 978-3-16-148410-0, 2021-03-05, (1602-1664)", "phone") == []
    assert [each.kind for each in find("打13800138000", ["phone"], ["CN"])] == ["phone"]
    assert find("(650) 253-0000", ["phone"], []) == [], "without a region only those with a country code"


def test_secrets_are_found_whole() -> None:
    pytest.importorskip("detect_secrets")
    github = "ghp_" + "aB3" * 12
    newer = "sk-proj-" + "aB3x" * 10
    text = f"aws AKIA{'Q7' * 8}; token={github}, key {newer}, pw postgres://joe:hunter22@db.internal/x"
    assert kinds(text, "secret") == [
        ("secret", f"AKIA{'Q7' * 8}"),
        ("secret", github),
        ("secret", newer),
        ("secret", "://joe:hunter22@"),
    ]
    key = "-----BEGIN RSA PRIVATE KEY-----\n" + "MIIEowIBAAKCAQEA75\n" * 3 + "-----END RSA PRIVATE KEY-----"
    assert len(kinds(key, "secret")) == 1 and "MIIE" not in key.replace(kinds(key, "secret")[0][1], "")
    assert (
        kinds("a password is a secret, and sk-learn is a library; hash 9f86d081884c7d659a2feaa0c55ad015", "secret")
        == []
    )


async def test_values_are_replaced_by_their_kind_and_counted() -> None:
    row = {"note": "Mail a@x.org or b@x.org.", "more": "Again A@X.ORG; 8.8.8.8", "mood": "glad", "tokens": 7}
    done = await scrubbed(row, columns=["note", "more", "mood"], counts="found")
    assert done.rows == [
        {
            "note": "Mail [email] or [email 2].",
            "more": "Again [email]; [ip]",
            "mood": "glad",
            "found": {"email": 3, "card": 0, "ip": 1},
        }
    ]


async def test_texts_within_trajectories_and_json_are_looked_through() -> None:
    call = {"name": "mail", "arguments": {"to": ["a@x.org"], "n": 3}, "final": None, "text": "a@x.org"}
    row = {"steps": [{"thought": None, "call": call, "response": "sent to a@x.org"}], "meta": {"k": ["b@x.org", 1.5]}}
    done = await scrubbed(row, columns=["steps", "meta"])
    assert done.rows[0]["steps"] == [
        {
            "thought": None,
            "call": {"name": "mail", "arguments": {"to": ["[email]"], "n": 3}, "final": None, "text": "[email]"},
            "response": "sent to [email]",
        }
    ]
    assert done.rows[0]["meta"] == {"k": ["[email 2]", 1.5]}
    assert done.rows[0]["scrubbed"]["email"] == 4


async def test_rows_may_be_set_aside_instead() -> None:
    done = await scrubbed({"note": "a@x.org a@x.org 8.8.8.8"}, columns=["note"], mode="reject")
    assert (done.reject.reason, done.reject.detail) == ("has email", {"email": 2, "ip": 1})
    assert (await scrubbed({"note": "nothing", "more": None}, columns=["note", "more"], mode="reject")).rows == [{}]


def test_columns_keep_their_types_without_bounds() -> None:
    action = Scrub(columns=["note", "steps"], kinds=FREE)
    adds = action.adds(FakeScope(COLUMNS))
    assert str(adds["note"]) == "str"
    assert str(adds["steps"]) == "[{thought: str|none, call: call, response: str|none}]"
    assert isinstance(adds["scrubbed"], Object) and list(adds["scrubbed"].fields) == FREE
    assert action.replaces() == {"note", "steps"}
    assert Scrub(columns=["note"], mode="reject").adds(FakeScope(COLUMNS)) == {}


def test_problems_are_told_at_plan_time(monkeypatch: pytest.MonkeyPatch) -> None:
    columns = types({"text": "str", "spans": ["json"]})
    told = FakeScope(columns).told(Scrub(columns=["text"], kinds=FREE))
    assert told == ["the offsets in 'spans' would no longer fit the redacted 'text'"]
    assert FakeScope(columns).told(Scrub(columns=["text"], kinds=FREE, mode="reject")) == []
    if find_spec("phonenumbers") is not None:
        assert FakeScope(COLUMNS).told(Scrub(columns=["note"], kinds=["phone"], regions=["XX"])) == [
            "there is no region 'XX'"
        ]
    monkeypatch.setattr("synthkit.actions.scrub.find_spec", lambda name: None)
    assert FakeScope(COLUMNS).told(Scrub(columns=["note"])) == [
        "the kind 'secret' needs the package 'detect_secrets'",
        "the kind 'phone' needs the package 'phonenumbers'",
    ]


def test_a_newer_package_is_another_step() -> None:
    assert Scrub(columns=["note"], kinds=FREE).depends() == {}
    assert set(Scrub(columns=["note"]).depends()) == {"detect_secrets", "phonenumbers"}


@given(st.text(alphabet="ab1289 .@-+:()\n[]4", max_size=80))
def test_pieces_are_in_order_and_apart_and_nothing_is_found_twice(text: str) -> None:
    found = find(text, FREE, [])
    assert all(0 <= each.start < each.end <= len(text) and each.kind in KINDS for each in found)
    assert all(one.end <= other.start for one, other in pairwise(found))
    for each in reversed(found):
        text = f"{text[: each.start]}[{each.kind}]{text[each.end :]}"
    assert find(text, FREE, []) == []


@pytest.mark.realdata
def test_real_texts_lose_little(realdata: Path) -> None:
    pytest.importorskip("detect_secrets")
    pytest.importorskip("phonenumbers")
    with (realdata / "wiki/articles.jsonl").open() as lines:
        texts = [json.loads(line)["text"] for line in lines][:1000]
    found = [text[each.start : each.end] for text in texts for each in find(text, KINDS, ["US", "CN"])]
    assert len(found) <= 3, found
