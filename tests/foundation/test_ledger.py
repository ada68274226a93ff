"""The ledger: every change of the file is found, and named by its line."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tacit.foundation.errors import LedgerError
from tacit.foundation.ledger import GENESIS, Ledger, verify


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A ledger of four records."""
    path = tmp_path / "alice.ledger.jsonl"
    ledger = Ledger(path, "alice")
    for number in range(4):
        ledger.append("reveal", what="fixed", shape=[number], to=["bob"], because=f"reason {number} é")
    ledger.close()
    return path


def lines(path: Path) -> list[bytes]:
    return path.read_bytes().splitlines(keepends=True)


def test_records_are_chained_and_read_back(path: Path) -> None:
    records = list(verify(path))
    assert [record["number"] for record in records] == [0, 1, 2, 3]
    assert [record["shape"] for record in records] == [[0], [1], [2], [3]]
    assert records[2]["because"] == "reason 2 é"
    assert {record["party"] for record in records} == {"alice"}
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_an_older_ledger_goes_on_from_its_head(path: Path) -> None:
    ledger = Ledger(path, "alice")
    assert ledger.head == list(verify(path))[-1]["hash"]
    ledger.append("save", what=["w"])
    ledger.close()
    ledger.close()
    assert [record["kind"] for record in verify(path)] == ["reveal"] * 4 + ["save"]
    assert ledger.head == list(verify(path))[-1]["hash"]


def test_an_empty_ledger_has_the_first_head(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "new", "alice")
    assert ledger.head == GENESIS
    assert list(verify(tmp_path / "new")) == []
    ledger.close()


@given(place=st.integers(0, 10_000), bit=st.integers(0, 7))
def test_any_flipped_bit_is_found(tmp_path_factory: pytest.TempPathFactory, place: int, bit: int) -> None:
    path = tmp_path_factory.mktemp("ledger") / "ledger"
    ledger = Ledger(path, "alice")
    for number in range(3):
        ledger.append("reveal", to=["bob"], because=f"reason {number}")
    ledger.close()
    data = bytearray(path.read_bytes())
    data[place % len(data)] ^= 1 << bit
    path.write_bytes(data)
    with pytest.raises(LedgerError, match=r"ledger line \d"):
        list(verify(path))


@pytest.mark.parametrize("number", range(4))
def test_a_changed_line_is_named(path: Path, number: int) -> None:
    changed = lines(path)
    changed[number] = changed[number].replace(b'"bob"', b'"eve"')
    path.write_bytes(b"".join(changed))
    with pytest.raises(LedgerError, match=f"alice.ledger.jsonl line {number + 1}: the hash does not fit"):
        list(verify(path))
    with pytest.raises(LedgerError, match=f"line {number + 1}"):
        Ledger(path, "alice")


def test_removed_moved_repeated_and_forged_lines_are_found(path: Path) -> None:
    whole = lines(path)
    forged = json.loads(whole[1])
    forged["to"] = ["eve"]
    cases = {
        "line 1 should be record 0": whole[1:],
        "line 2 should be record 1": [whole[0], *whole[2:]],
        "line 3 should be record 2": [*whole[:2], whole[1], *whole[2:]],
        "line 2 should be record 1: a line was removed or moved": [whole[0], whole[2], whole[1], whole[3]],
        "line 5 is not a ledger record": [*whole, b"{}\n"],
        "line 4 is not a ledger record": [*whole[:3], whole[3][:20]],
        "line 4 is not written as it was": [*whole[:3], whole[3][:-1]],
        "line 2: the hash does not fit": [
            whole[0],
            (json.dumps(forged, sort_keys=True, separators=(",", ":"), ensure_ascii=False) + "\n").encode(),
            *whole[2:],
        ],
        "line 1 is not a ledger record": [b"\xff\xfe\n", *whole],
    }
    for message, content in cases.items():
        path.write_bytes(b"".join(content))
        with pytest.raises(LedgerError, match=message):
            list(verify(path))


def test_a_line_that_only_this_reader_would_accept_is_found(path: Path) -> None:
    """A name twice, or other spaces: the same record here, and another one for somebody else's reader."""
    whole = lines(path)
    for changed in (whole[0].replace(b'{"', b'{"to":["eve"],"', 1), whole[0].replace(b":", b": ", 1)):
        path.write_bytes(b"".join([changed, *whole[1:]]))
        with pytest.raises(LedgerError, match="line 1"):
            list(verify(path))


def test_the_ledgers_own_fields_cannot_be_given(path: Path) -> None:
    ledger = Ledger(path, "alice")
    head = ledger.head
    with pytest.raises(LedgerError, match="fields named hash, number"):
        ledger.append("reveal", number=9, hash="0")
    for value in (float("nan"), object(), "\ud800"):
        with pytest.raises(LedgerError, match="cannot be written as JSON"):
            ledger.append("reveal", what=value)
    assert ledger.head == head
    ledger.append("reveal", what="still in order")
    assert len(list(verify(path))) == 5
    ledger.close()


def test_a_ledger_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match="cannot be opened"):
        Ledger(tmp_path / "no folder" / "ledger", "alice")
    with pytest.raises(LedgerError, match="no ledger absent: No such file"):
        list(verify(tmp_path / "absent"))
    full = Ledger(tmp_path / "full", "alice")
    full.close()
    full._file = os.open("/dev/full", os.O_WRONLY)
    with pytest.raises(LedgerError, match="cannot be written: No space left on device"):
        full.append("reveal", what="anything")
    assert full.head == GENESIS
    full.close()
