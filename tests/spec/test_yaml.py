"""YAML 1.2 core: values, marks, bounds; PyYAML agrees where the versions do."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from synthkit.core.errors import Mark, SpecError
from synthkit.spec.yaml import MAX_DEPTH, parse_document, parse_value, read_document, scalar


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", None), ("~", None), ("null", None), ("true", True), ("False", False), ("TRUE", True),
        ("yes", "yes"), ("on", "on"), ("off", "off"), ("n", "n"),
        ("0", 0), ("-17", -17), ("+3", 3), ("08", 8), ("0o17", 15), ("0x1F", 31), ("1_000", "1_000"), ("0b1", "0b1"),
        ("1.5", 1.5), (".5", 0.5), ("5.", 5.0), ("1e3", 1000.0), ("-1.5E-3", -0.0015),
        (".inf", float("inf")), ("-.INF", float("-inf")),
        ("4..8", "4..8"), ("..600", "..600"), ("3..", "3.."), ("60%", "60%"), ("32Ki", "32Ki"),
        ("2021-03-05", "2021-03-05"), ("12:30", "12:30"), ("١٢", "١٢"), (".", "."), ("-", "-"), ("inf", "inf"),
    ],
)  # fmt: skip
def test_scalar(text: str, value: object) -> None:
    assert scalar(text) == value
    assert type(scalar(text)) is type(value)


def test_not_a_number() -> None:
    assert scalar(".nan") != scalar(".nan")


@pytest.mark.parametrize("text", ["9" * 19, "-" + "9" * 5000, "0x" + "f" * 17])
def test_numbers_fit_64_bits(text: str) -> None:
    with pytest.raises(ValueError, match="64 bits"):
        scalar(text)


def test_keys_are_texts_as_written() -> None:
    assert parse_document("on: 1\n1: 2\nnull: 3\n1.0: 4\n", "f").value == {"on": 1, "1": 2, "null": 3, "1.0": 4}


def test_quoted_and_tagged_scalars_stay_text() -> None:
    assert parse_document("- \"1\"\n- 'true'\n- !!str 5\n- ! 6\n- |-\n 7\n", "f").value == ["1", "true", "5", "6", "7"]


def test_marks() -> None:
    document = parse_document("a:\n  b: [1, {c: 2}]\n  d: text\n", "f.yaml")
    assert document.mark(("a", "b")) == Mark("f.yaml", 2, 6)
    assert document.mark(("a", "b"), key=True) == Mark("f.yaml", 2, 3)
    assert document.mark(("a", "b", 1, "c")) == Mark("f.yaml", 2, 14)
    assert document.mark(("a",)) == Mark("f.yaml", 1, 1), "a block is pointed at by its key"
    assert document.mark(("a", "d", "deeper", 3)) == Mark("f.yaml", 3, 3), "the closest ancestor stands in"
    assert document.mark(()) == Mark("f.yaml", 1, 1)
    assert document.get(("a", "b", 1, "c")) == 2
    assert document.get(("a", "x")) is None


def test_alias_values_are_shared_and_marked_at_the_alias() -> None:
    document = parse_document("a: &x {b: 1}\nc: *x\n", "f")
    assert document.value == {"a": {"b": 1}, "c": {"b": 1}}
    assert document.mark(("c", "b")) == Mark("f", 2, 1)


def test_the_source_line_is_shown() -> None:
    with pytest.raises(SpecError) as caught:
        parse_document("ok: 1\n题目: {a: 1, a: 2}\n", "f.yaml")
    (problem,) = caught.value.problems
    assert problem.source == "题目: {a: 1, a: 2}"
    assert problem.mark == Mark("f.yaml", 2, 12)


def test_line_ends_of_every_kind() -> None:
    for end in ("\n", "\r\n", "\r"):
        with pytest.raises(SpecError) as caught:
            parse_document(end.join(["a: 1", "b: 2", "a: 3", ""]), "f")
        assert caught.value.problems[0].mark == Mark("f", 3, 1)
        assert caught.value.problems[0].source == "a: 3"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[" * 5000, f"nested deeper than {MAX_DEPTH}"),
        ("{a: " * 5000, f"nested deeper than {MAX_DEPTH}"),
        ("- " * 5000, f"nested deeper than {MAX_DEPTH}"),
        ("a: [" + "x, " * 30_000 + "]", "more than 20000 values"),
        ("x" * 200_000, "larger than 128 KiB"),
        ('a: "\\UFFFFFFFF"', "cannot be read as YAML"),
        ('a: "\\ud800"', "surrogate"),
        ('"\\udfff": 1', "surrogate"),
        ("a: &x [*x]", "inside its own anchor"),
        ("a: \x01", "U+0001"),
        ("? [a]\n: 1", "plain text"),
        ("%YAML 2.0\n---\n1", "incompatible"),
    ],
    ids=lambda text: text[:20],
)
def test_bounds(text: str, message: str) -> None:
    with pytest.raises(SpecError, match=message.replace("+", r"\+")):
        parse_document(text, "f")


def test_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SpecError, match=r"^none\.yaml: cannot be read: No such file"):
        read_document(Path("none.yaml"))
    with pytest.raises(SpecError, match="cannot be read"):
        read_document(tmp_path)
    with pytest.raises(SpecError, match="cannot be read"):
        read_document(Path("a\0b"))
    latin = tmp_path / "latin.yaml"
    latin.write_bytes(b"a: 1\nb: caf\xe9\n")
    with pytest.raises(SpecError, match=r"^latin\.yaml:2:7: is not UTF-8: byte 0xe9"):
        read_document(latin)
    large = tmp_path / "large.yaml"
    large.write_bytes(b"#" * 2**21)
    with pytest.raises(SpecError, match="larger than"):
        read_document(large)
    marked = tmp_path / "bom.yaml"
    marked.write_bytes(b"\xef\xbb\xbfa: 1\n")
    assert read_document(marked).value == {"a": 1}


def test_option_values() -> None:
    assert parse_value("8") == 8
    assert parse_value("[a, 2]") == ["a", 2]
    assert parse_value("") is None
    with pytest.raises(ValueError, match="not well formed"):
        parse_value("[1")


_plain = st.text("abcXYZ 题é-", min_size=1, max_size=8).map(str.strip).filter(lambda t: t and not t.startswith("-"))
_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(2**63), 2**63 - 1), _plain, st.floats(allow_nan=False)),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(_plain, inner, max_size=4)),
    max_leaves=12,
)


@given(_values, st.booleans())
def test_what_pyyaml_writes_is_read_back(value: object, flow: bool) -> None:
    text = yaml.safe_dump(value, default_flow_style=flow, allow_unicode=True, sort_keys=False)
    assert parse_document(text, "f").value == value


@given(st.text(max_size=200))
def test_any_text_parses_or_is_a_spec_error(text: str) -> None:
    try:
        document = parse_document(text, "f")
    except SpecError as error:
        assert all(problem.mark for problem in error.problems)
    else:
        assert document.file == "f"


@given(st.text(alphabet="ab:-{}[]&*!|>'\"%@`#,? \n\t$\\xuU0", max_size=60))
def test_any_punctuation_parses_or_is_a_spec_error(text: str) -> None:
    try:
        parse_document(text, "f")
    except SpecError as error:
        assert str(error)
