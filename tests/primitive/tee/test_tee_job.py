"""Jobs: one byte string for each, so that a hash says all of it; nothing malformed passes."""

from __future__ import annotations

import json

import pytest
from enclaves import World
from hypothesis import given
from hypothesis import strategies as st

from tacit.foundation.errors import InputError, JobRefused
from tacit.primitive.tee import Job, JobInput, JobOutput, PrivateKeys, Program
from tacit.primitive.tee.canonical import canonical

WORLD = World()
JOB = WORLD.job(Program("function", "linear.score", {"link": "logistic", "scale": [1, 2.5, None, True]}))
HEX = st.text("0123456789abcdef", min_size=64, max_size=64)


def test_a_job_is_read_as_it_is_written() -> None:
    assert Job.parse(JOB.to_bytes()) == JOB
    assert Job.parse(JOB.to_bytes()).digest == JOB.digest
    assert "SIMULATED" in repr(JOB)


def changes() -> dict[str, object]:
    document = json.loads(JOB.to_bytes())
    stranger = PrivateKeys.generate().public.text
    return {
        "assurance": "ATTESTED",
        "enclave": "other",
        "id": "0" * 32,
        "inputs": [[*document["inputs"][0][:3], "<f4"], document["inputs"][1]],
        "keys": stranger,
        "outputs": [["z", ["alice"]], document["outputs"][1]],
        "parties": {**document["parties"], "bob": stranger},
        "policy": "0" * 64,
        "program": ["function", "table.join", {}],
        "session": "0" * 16,
    }


@pytest.mark.parametrize("field", changes())
def test_any_other_job_has_another_hash(field: str) -> None:
    other = Job.parse(canonical({**json.loads(JOB.to_bytes()), field: changes()[field]}))
    assert other.digest != JOB.digest


def test_two_proposals_of_the_same_are_two_jobs() -> None:
    assert WORLD.job().digest != WORLD.job().digest


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("id", "00"),
        ("assurance", "TRUSTED"),
        ("enclave", ""),
        ("inputs", []),
        ("inputs", [["alice", "x", [2], "<f8"], ["bob", "x", [2], "<f8"]]),
        ("inputs", [["alice", "x", [2], "|O"], ["bob", "y", [2], "<f8"]]),
        ("inputs", [["alice", "x", [-2], "<f8"], ["bob", "y", [2], "<f8"]]),
        ("inputs", [["alice", "x", [1 << 60], "<f8"], ["bob", "y", [2], "<f8"]]),
        ("inputs", [["alice", "x", [2]]]),
        ("inputs", 7),
        ("outputs", []),
        ("outputs", [["z", []]]),
        ("outputs", [["z", "alice"]]),
        ("outputs", [["z", ["bob", "bob"]]]),
        ("outputs", [["z", ["alice"]], ["z", ["bob"]]]),
        ("outputs", [["z", ["mallory"]]]),
        ("parties", {}),
        ("parties", {"alice": "00", "bob": "00"}),
        ("parties", []),
        ("program", ["function", "a b", {}]),
        ("program", ["exported", "00", {}]),
        ("program", ["exported", "0" * 64, {"x": 1}]),
        ("program", ["pickle", "x", {}]),
        ("program", ["function"]),
        ("program", None),
        ("keys", "00"),
        ("session", None),
        ("policy", 3),
        ("more", 1),
    ],
)
def test_a_malformed_job_is_refused(field: str, value: object) -> None:
    with pytest.raises(JobRefused):
        Job.parse(canonical({**json.loads(JOB.to_bytes()), field: value}))


@given(st.data())
def test_bytes_that_are_not_the_canonical_ones_are_refused(data: st.DataObject) -> None:
    good = JOB.to_bytes()
    place = data.draw(st.integers(0, len(good)))
    more = data.draw(st.sampled_from([b" ", b"\n", b"\0", b"{", b"1"]))
    changed = good[:place] + more + good[place:]
    try:
        read = Job.parse(changed)
    except JobRefused:
        return
    assert read.to_bytes() == changed
    assert read.digest != JOB.digest


@pytest.mark.parametrize("data", [b"", b"null", b"[]", b"{}", b"\xff", b"{" * 3000, b" " * ((1 << 20) + 1)])
def test_what_is_no_job_is_refused(data: bytes) -> None:
    with pytest.raises(JobRefused):
        Job.parse(data)


def test_names_twice_and_parameters_that_are_no_json_are_input_errors() -> None:
    with pytest.raises(InputError, match="canonical JSON"):
        WORLD.job(Program("function", "f", {"x": float("nan")}))
    with pytest.raises(InputError):
        JobInput("alice", "", (1,), "<f8")
    with pytest.raises(InputError):
        JobOutput("z", ())
    duplicated = JOB.to_bytes().replace(b'{"assurance"', b'{"assurance":"SIMULATED","assurance"', 1)
    with pytest.raises(JobRefused, match="canonical"):
        Job.parse(duplicated)


@given(name=HEX)
def test_an_exported_program_is_named_by_its_hash_only(name: str) -> None:
    assert Program("exported", name).text == f"exported:{name}"
    with pytest.raises(InputError):
        Program("function", f"1{name}")
