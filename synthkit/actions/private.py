"""What must not be in training text, found by patterns and check digits; no model is asked and nothing is looked up.

Secrets are found by the detectors of detect-secrets (those that know the form of a token, not its guesses by entropy),
telephone numbers by phonenumbers (Google's metadata, and the groups that a number is written in): the extra `scrub`.
E-mail addresses, cards (Luhn) and addresses of the internet need no library. In 4.3 MB of articles and trajectories of
agents there are no secrets, e-mail addresses of the data's invented users, and 7 numbers taken for telephones wrongly.
One MB takes 1.2 s.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from ipaddress import ip_address
from typing import Any, Literal

Kind = Literal["secret", "email", "card", "phone", "ip"]
PACKAGES: dict[Kind, str] = {"secret": "detect_secrets", "phone": "phonenumbers"}
"""Kinds that need a package of the extra `scrub` -> its module."""
DISTRIBUTIONS: dict[str, tuple[str, ...]] = {
    "detect_secrets": ("bc-detect-secrets", "detect-secrets"),
    "phonenumbers": ("phonenumbers",),
}
"""Module -> packages that bring it; the first is kept up, the second has had no release since 2024."""
KINDS: tuple[Kind, ...] = ("secret", "email", "card", "phone", "ip")
"""In the order in which a text is claimed: what is a secret is not looked at as an e-mail address."""

_EMAIL = re.compile(
    r"(?<![A-Za-z0-9._%+-])[A-Za-z0-9._%+-]{1,64}@(?:[A-Za-z0-9-]{1,63}\.)+[A-Za-z]{2,24}(?![A-Za-z0-9-])"
)
_CARD = re.compile(r"(?<![\w-])(?<!\d[.,])[3-6]\d{3}(?:[ -]?\d{2,6}){2,4}(?![\w-]|[.,]\d)")
_CARD_LENGTHS = {3: (14, 15, 16), 4: (13, 16, 19), 5: (16,), 6: (16, 19)}
_IPV4 = re.compile(r"(?<![\w.])(?:\d{1,3}\.){3}\d{1,3}(?![\w.]*\d)")
_IPV6 = re.compile(r"(?<![\w:.])(?:[0-9A-Fa-f]{0,4}:){2,7}[0-9A-Fa-f]{0,4}(?![\w:])")
_NEWER = re.compile(
    r"(?<![\w-])(?:sk-(?:[a-z]+[-_]){0,3}[A-Za-z0-9_-]{32,}|AIza[\w-]{35}|hf_[A-Za-z0-9]{34}|glpat-[\w-]{20,}"
    r"|github_pat_\w{60,}|xox[abeprs]-[\w-]{20,})"
)
"""Tokens that the library has no detector for: OpenAI and Anthropic, Google, Hugging Face, GitLab, GitHub, Slack."""
_NO_SECRETS = frozenset({"IPPublicDetector"})
"""Detectors of the library that find something else."""


@dataclass(frozen=True, slots=True)
class Found:
    """A piece of a text, characters `start` to `end`."""

    start: int
    end: int
    kind: Kind


def find(text: str, kinds: Iterable[Kind], regions: Sequence[str]) -> list[Found]:
    """What a text holds of these kinds, in order and apart; `regions` read telephone numbers without a country code."""
    claimed: list[Found] = []
    wanted = set(kinds)
    for kind in KINDS:
        if kind not in wanted:
            continue
        for start, end in sorted(_spans(text, kind, regions)):
            if all(end <= other.start or start >= other.end for other in claimed):
                claimed.append(Found(start, end, kind))
    return sorted(claimed, key=lambda each: each.start)


def _spans(text: str, kind: Kind, regions: Sequence[str]) -> Iterator[tuple[int, int]]:
    if kind == "secret":
        yield from _secrets(text)
    elif kind == "email":
        yield from (match.span() for match in _EMAIL.finditer(text)) if "@" in text else ()
    elif kind == "card":
        yield from (match.span() for match in _CARD.finditer(text) if _is_card(match[0]))
    elif kind == "phone":
        yield from _phones(text, regions)
    else:
        for pattern in (_IPV4, _IPV6):
            yield from (match.span() for match in pattern.finditer(text) if _is_public(match[0]))


def _secrets(text: str) -> Iterator[tuple[int, int]]:
    """Whole matches: the library's own values leave out the end of some tokens."""
    for match in _NEWER.finditer(text):
        yield match.span()
    for detector in _detectors():
        for pattern in detector.denylist:
            for match in pattern.finditer(text):
                if next(iter(detector.analyze_string(match[0])), None):
                    yield match.span()


@cache
def _detectors() -> tuple[Any, ...]:
    """The library's detectors that go by the form of a token."""
    import pkgutil
    from importlib import import_module

    from detect_secrets import plugins
    from detect_secrets.plugins.base import RegexBasedDetector

    found: dict[str, Any] = {}
    for module in pkgutil.iter_modules(plugins.__path__):
        for name, each in vars(import_module(f"{plugins.__name__}.{module.name}")).items():
            ours = isinstance(each, type) and issubclass(each, RegexBasedDetector) and each is not RegexBasedDetector
            if ours and name not in _NO_SECRETS:
                found[name] = each()
    return tuple(found[name] for name in sorted(found))


def _phones(text: str, regions: Sequence[str]) -> Iterator[tuple[int, int]]:
    from phonenumbers import Leniency, PhoneNumberMatcher

    for region in regions or (None,):
        for match in PhoneNumberMatcher(text, region, leniency=Leniency.STRICT_GROUPING):
            yield match.start, match.end


def _is_card(text: str) -> bool:
    """Length by issuer, and the check digit."""
    digits = [int(each) for each in text if each.isdigit()]
    doubled = [sum(divmod(2 * digit, 10)) for digit in digits[-2::-2]]
    return len(digits) in _CARD_LENGTHS[digits[0]] and (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0


def _is_public(text: str) -> bool:
    """An address that somebody has; private and documentation ranges are nobody's."""
    try:
        return ip_address(text).is_global
    except ValueError:
        return False
