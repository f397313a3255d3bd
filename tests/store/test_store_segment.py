from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synthkit.core.errors import StoreFull
from synthkit.store import segment as module
from synthkit.store.segment import Segment, named, numbers, payloads

PAYLOADS = st.lists(st.binary(min_size=1, max_size=200), min_size=1, max_size=8)


def written(folder: Path, records: list[bytes]) -> tuple[Path, list[int]]:
    path = named(folder, 1)
    path.unlink(missing_ok=True)
    segment = Segment(path)
    ends = []
    for record in records:
        at = segment.append(record)
        assert segment.read(at, len(record)) == record
        ends.append(segment.size)
    segment.sync()
    segment.close()
    segment.close()
    return path, ends


@given(PAYLOADS, st.data())
def test_a_torn_tail_is_cut_and_all_before_it_stands(
    tmp_path_factory: pytest.TempPathFactory, records: list[bytes], data: st.DataObject
) -> None:
    path, ends = written(tmp_path_factory.mktemp("wal"), records)
    assert list(payloads(path)) == records
    length = data.draw(st.integers(0, ends[-1]))
    os.truncate(path, length)
    assert list(payloads(path)) == records[: sum(end <= length for end in ends)]


@given(PAYLOADS, st.data())
def test_a_flipped_bit_ends_the_segment_there(
    tmp_path_factory: pytest.TempPathFactory, records: list[bytes], data: st.DataObject
) -> None:
    path, ends = written(tmp_path_factory.mktemp("wal"), records)
    at = data.draw(st.integers(0, ends[-1] - 1))
    content = bytearray(path.read_bytes())
    content[at] ^= 1 << data.draw(st.integers(0, 7))
    path.write_bytes(content)
    assert list(payloads(path)) == records[: sum(end <= at for end in ends)]


def test_blank_space_is_no_record(tmp_path: Path) -> None:
    path, _ = written(tmp_path, [b"a"])
    with path.open("ab") as file:
        file.write(bytes(4096))
    assert list(payloads(path)) == [b"a"]


def test_a_full_disk_leaves_whole_records_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    segment = Segment(named(tmp_path, 1))
    segment.append(b"first")
    real = os.write
    monkeypatch.setattr(module.os, "write", lambda fd, frame: real(fd, frame[:7]))
    with pytest.raises(StoreFull, match="the disk is full"):
        segment.append(b"second")
    monkeypatch.undo()
    segment.append(b"third")
    segment.close()
    assert list(payloads(segment.path)) == [b"first", b"third"]


def test_segments_are_counted_in_order(tmp_path: Path) -> None:
    for name in ("000010.seg", "000009.seg", "notes.txt", "1000000.seg", "x.seg"):
        (tmp_path / name).touch()
    assert numbers(tmp_path) == [9, 10, 1_000_000]
    assert named(tmp_path, 9).name == "000009.seg"
