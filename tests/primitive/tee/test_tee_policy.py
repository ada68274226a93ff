"""Policies: closed lists, read as written, and an error when they say nothing."""

from __future__ import annotations

import dataclasses
import re

import pytest

from tacit.foundation.errors import ConfigError
from tacit.primitive.tee import Policy

ROOT, SIM, SGX = "aa" * 32, "ab" * 48, "cd" * 32
DEVELOPMENT = Policy.development(root=ROOT, measurement=SIM, receivers=["alice"])
PRODUCTION = Policy("production", {"sgx-quote": [SGX]}, ["alice", "bob"], ["function:linear.score", f"exported:{SGX}"])


@pytest.mark.parametrize("policy", [DEVELOPMENT, PRODUCTION])
def test_a_policy_is_read_as_it_is_written(policy: Policy) -> None:
    assert Policy.parse(policy.document()) == policy
    assert Policy.parse(policy.document()).digest == policy.digest


def test_the_order_in_which_a_policy_is_written_does_not_matter() -> None:
    one = Policy("production", {"sgx-quote": [SGX, "00" * 32]}, ["bob", "alice"])
    two = Policy("production", {"sgx-quote": ["00" * 32, SGX]}, ["alice", "bob", "bob"])
    assert one.digest == two.digest


def test_every_part_is_in_the_hash() -> None:
    changes = [
        {"measurements": {"tdx-quote": [SIM]}},
        {"receivers": ["bob"]},
        {"programs": ()},
        {"profile": "development"},
    ]
    digests = {dataclasses.replace(PRODUCTION, **change).digest for change in changes}
    assert len(digests | {PRODUCTION.digest}) == 5


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"measurements": {}}, "names no measurement"),
        ({"measurements": {"sgx-quote": []}}, "names no measurement"),
        ({"measurements": {"sgx-quote": [SGX], "tdx-quote": []}}, "accepts tdx-quote with no measurement"),
        ({"measurements": {"sgx-quote": ["any"]}}, "32 bytes in lower-case hex"),
        ({"measurements": {"sgx": [SGX]}}, "no evidence format"),
        ({"receivers": []}, "names no receiver"),
        ({"receivers": "alice"}, "is a list"),
        ({"receivers": ["a b"]}, "names of parties"),
        ({"profile": ""}, "production or development"),
        ({"programs": ["linear.score"]}, "is no program"),
        ({"programs": ["exported:12"]}, "is no program"),
        ({"simulation_roots": [ROOT]}, "accepts no simulated enclave"),
        ({"measurements": {"SIMULATED/1": [SIM]}}, "accepts no simulated enclave"),
        ({"profile": "development", "measurements": {"SIMULATED/1": [SIM]}}, "Pin one"),
        ({"profile": "development", "simulation_roots": ["x"]}, "Ed25519 public key"),
    ],
)
def test_a_policy_that_is_empty_or_contradicts_itself_is_an_error(fields: dict[str, object], says: str) -> None:
    good = {"profile": "production", "measurements": {"sgx-quote": [SGX]}, "receivers": ["alice"]}
    with pytest.raises(ConfigError, match=re.escape(says)):
        Policy(**{**good, **fields})


@pytest.mark.parametrize(
    "document",
    [None, {}, [], {**PRODUCTION.document(), "more": 1}, {**PRODUCTION.document(), "measurements": []},
     {**PRODUCTION.document(), "receivers": "alice"}, {**PRODUCTION.document(), "programs": [1]},
     {**PRODUCTION.document(), "measurements": {"sgx-quote": "x"}}, {**PRODUCTION.document(), "profile": None}],
)  # fmt: skip
def test_what_is_no_policy_is_not_read_as_one(document: object) -> None:
    with pytest.raises(ConfigError):
        Policy.parse(document)
