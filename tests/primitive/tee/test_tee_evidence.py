"""Evidence: what a host can do to it, and the reason with which each is refused."""

from __future__ import annotations

import json
import struct

import pytest
from enclaves import MEASUREMENT, SESSION, World
from hypothesis import given
from hypothesis import strategies as st

from tacit.foundation.errors import EnclaveError, EvidenceRefused, InputError, NoVerifier, SecrecyError
from tacit.primitive.tee import Binding, Claims, Expectation, Finding, NonceBook, Policy, PrivateKeys, pack_evidence
from tacit.primitive.tee.canonical import canonical
from tacit.primitive.tee.formats import SGX, SIMULATION_MAGIC, SNP, TDX, UNKNOWN, detect
from tacit.primitive.tee.verify import VERIFIERS, verify_evidence
from tacit.resource.enclave.simulation import MAGIC, SimulationRoot, SimulationSource

WORLD = World()


def test_evidence_that_meets_the_policy_gives_the_keys_and_says_simulated() -> None:
    verdict = WORLD.verify(WORLD.evidence())
    attested = verdict.require()
    assert verdict.outcome == "trusted"
    assert verdict.refusals == ()
    assert attested.binding.keys == WORLD.keys.public
    assert attested.assurance == "SIMULATED"
    for shown in (repr(attested), repr(verdict.claims), json.dumps(verdict.document()), verdict.claims.format):
        assert "SIMULATED" in shown
    assert MAGIC == SIMULATION_MAGIC


def test_a_verdict_is_no_bool() -> None:
    with pytest.raises(SecrecyError, match="require"):
        bool(WORLD.verify(WORLD.evidence()))


@pytest.mark.parametrize(
    ("change", "check"),
    [
        ({"session": "f" * 16}, "session"),
        ({"enclave": "other"}, "enclave"),
        ({"role": "key-service"}, "role"),
        ({"policy": "0" * 64}, "policy"),
        ({"nonces": {"alice": "0" * 64}}, "nonce"),
        ({"nonces": {"bob": "0" * 64}}, "nonce"),
    ],
)
def test_a_binding_to_something_else_is_refused(change: dict[str, object], check: str) -> None:
    verdict = WORLD.verify(WORLD.evidence(**change))
    assert [reason.partition(":")[0] for reason in verdict.refusals] == [check]
    with pytest.raises(EvidenceRefused, match=check) as caught:
        verdict.require()
    assert caught.value.reasons == verdict.refusals


@pytest.mark.parametrize("field", ["keys", "session", "policy", "enclave", "role", "nonces"])
def test_a_host_that_swaps_any_part_of_the_binding_is_refused(field: str) -> None:
    """The quote is genuine, but of other report data: the host puts keys of its own in, for instance."""
    binding = WORLD.binding()
    changes = {
        "keys": PrivateKeys.generate().public,
        "session": "e" * 16,
        "policy": "1" * 64,
        "enclave": "twin",
        "role": "other",
        "nonces": {**binding.nonces, "mallory": "2" * 64},
    }
    swapped = WORLD.binding(nonces=binding.nonces, **{field: changes[field]}) if field != "nonces" else (
        WORLD.binding(nonces=changes["nonces"])
    )  # fmt: skip
    verdict = WORLD.verify(pack_evidence(swapped, WORLD.quote(binding)))
    assert "binding: the report data is not the hash of these keys, nonces, session and policy" in verdict.refusals
    with pytest.raises(EvidenceRefused):
        verdict.require()


def test_replayed_evidence_is_refused_because_its_nonce_was_used() -> None:
    evidence = WORLD.evidence()
    WORLD.verify(evidence).require()
    with pytest.raises(EvidenceRefused, match="may be a replay"):
        WORLD.verify(evidence).require()


def test_old_evidence_does_not_answer_a_new_nonce() -> None:
    old = WORLD.evidence()
    WORLD.verify(old)
    WORLD.nonces.issue("tee")
    with pytest.raises(EvidenceRefused, match="nonce"):
        WORLD.verify(old).require()


def test_a_nonce_is_for_one_enclave_once_and_for_a_minute() -> None:
    now = 0.0
    book = NonceBook(seconds=60.0, clock=lambda: now)
    first, second, third = (book.issue("tee") for _ in range(3))
    assert len({first, second, third}) == 3
    assert book.spend(first, "other") == "unknown"
    assert book.spend(first, "tee") == "unknown"
    now = 60.0
    assert book.spend(second, "tee") == "fresh"
    now = 60.1
    assert book.spend(third, "tee") == "late"
    assert book.spend(third, "tee") == "unknown"


def test_challenges_are_bounded_and_those_out_of_time_make_room() -> None:
    now = 0.0
    book = NonceBook(clock=lambda: now)
    for _ in range(1024):
        book.issue("tee")
    with pytest.raises(EnclaveError, match="1024 challenges"):
        book.issue("tee")
    now = 61.0
    book.issue("tee")


def test_late_evidence_says_so() -> None:
    now = 0.0
    world = World(nonces=NonceBook(clock=lambda: now))
    evidence = world.evidence()
    now = 61.0
    with pytest.raises(EvidenceRefused, match="after the nonce's time"):
        world.verify(evidence).require()


def test_another_measurement_is_refused() -> None:
    binding = WORLD.binding()
    verdict = WORLD.verify(pack_evidence(binding, WORLD.quote(binding, "cd" * 48)))
    assert [reason.partition(":")[0] for reason in verdict.refusals] == ["measurement"]


def test_simulated_evidence_is_refused_under_a_production_policy() -> None:
    policy = Policy("production", {SGX: ["00" * 32]}, ["alice"])
    verdict = WORLD.verify(WORLD.evidence(policy=policy.digest), policy)
    checks = {reason.partition(":")[0] for reason in verdict.refusals}
    assert checks == {"profile", "format", "measurement", "root"}
    with pytest.raises(EvidenceRefused, match="SIMULATED and the policy's profile is not development"):
        verdict.require()


def test_a_root_that_is_not_pinned_is_refused() -> None:
    mallory = SimulationRoot.create()
    binding = WORLD.binding()
    quote = SimulationSource(mallory, MEASUREMENT).quote(binding.report_data())
    with pytest.raises(EvidenceRefused, match="does not pin the root"):
        WORLD.verify(pack_evidence(binding, quote)).require()


def test_a_debug_enclave_is_refused() -> None:
    class Debug:
        def authenticate(self, quote: bytes, policy: Policy) -> tuple[Claims, tuple[Finding, ...]]:
            binding = json.loads(evidence)["binding"]
            report_data = Binding.parse(binding).report_data()
            return Claims("SIMULATED/1", True, MEASUREMENT, report_data, True, WORLD.root.public), ()

    evidence = WORLD.evidence()
    expectation = Expectation("alice", "tee", SESSION)
    verdict = verify_evidence(evidence, WORLD.policy, expectation, WORLD.nonces, {"SIMULATED/1": Debug()})
    assert [reason.partition(":")[0] for reason in verdict.refusals] == ["debug"]


def test_a_failed_finding_of_the_platform_refuses() -> None:
    class OutOfDate:
        def authenticate(self, quote: bytes, policy: Policy) -> tuple[Claims, tuple[Finding, ...]]:
            claims, findings = VERIFIERS["SIMULATED/1"].authenticate(quote, policy)
            return claims, (*findings, Finding("firmware", "failed", "OutOfDate"))

    expectation = Expectation("alice", "tee", SESSION)
    verdict = verify_evidence(WORLD.evidence(), WORLD.policy, expectation, WORLD.nonces, {"SIMULATED/1": OutOfDate()})
    with pytest.raises(EvidenceRefused, match="firmware: OutOfDate"):
        verdict.require()


def test_a_flipped_bit_anywhere_is_refused() -> None:
    for place in range(len(WORLD.quote(WORLD.binding()))):
        binding = WORLD.binding()
        quote = bytearray(WORLD.quote(binding))
        quote[place] ^= 1 << place % 8
        with pytest.raises((EvidenceRefused, NoVerifier)):
            WORLD.verify(pack_evidence(binding, bytes(quote))).require()


def test_a_quote_is_written_in_one_way_only() -> None:
    evidence = json.loads(WORLD.evidence())
    for quote in (evidence["quote"].upper(), evidence["quote"] + "0", evidence["quote"] + " "):
        with pytest.raises(EvidenceRefused, match="not hex"):
            WORLD.verify(canonical({**evidence, "quote": quote}))


@given(st.data())
def test_whatever_else_comes_is_refused(data: st.DataObject) -> None:
    evidence = bytearray(WORLD.evidence())
    place = data.draw(st.integers(0, len(evidence) - 1))
    changed = data.draw(
        st.one_of(
            st.binary(),
            st.just(bytes(evidence[:place])),
            st.integers(1, 255).map(
                lambda flip: bytes(evidence[:place]) + bytes([evidence[place] ^ flip]) + bytes(evidence[place + 1 :])
            ),
            st.just(b"[" * 5000),
            st.just(b'{"binding":' * 2000),
            st.just(b'{"binding":{},"quote":"00"}'),
            st.just(b" " * ((1 << 20) + 1)),
        )
    )
    with pytest.raises((EvidenceRefused, NoVerifier)):
        WORLD.verify(changed).require()


def hardware_quotes() -> dict[str, bytes]:
    return {
        SGX: struct.pack("<HHI", 3, 2, 0) + bytes(432 - 8),
        f"{SGX} v4": struct.pack("<HHI", 4, 2, 0) + bytes(600),
        TDX: struct.pack("<HHI", 4, 2, 0x81) + bytes(632 - 8),
        f"{TDX} v5": struct.pack("<HHI", 5, 2, 0x81) + bytes(640),
        SNP: struct.pack("<I", 2) + bytes(1184 - 4),
        f"{SNP} v3": struct.pack("<I", 3) + bytes(1184 - 4),
        UNKNOWN: bytes(100),
        f"{UNKNOWN} v9": struct.pack("<HHI", 9, 2, 0) + bytes(600),
        f"{UNKNOWN} short": b"\x03",
    }


@pytest.mark.parametrize("name", hardware_quotes())
def test_evidence_of_hardware_has_no_verifier_here_and_is_told_by_its_bytes(name: str) -> None:
    quote, kind = hardware_quotes()[name], name.split(maxsplit=1)[0]
    assert detect(quote) == kind
    with pytest.raises(NoVerifier, match=f"no verifier for evidence of format {kind}"):
        WORLD.verify(pack_evidence(WORLD.binding(), quote))


@pytest.mark.parametrize(
    "change",
    [
        {"assurance": "ATTESTED"},
        {"debug": 0},
        {"measurement": "ab"},
        {"report_data": "00"},
        {"root": "zz"},
        {"more": 1},
    ],
)
def test_signed_simulated_claims_are_still_checked(change: dict[str, object]) -> None:
    binding = WORLD.binding()
    quote = WORLD.quote(binding)
    document = {**json.loads(quote[len(MAGIC) : -64]), **change}
    signed = MAGIC + json.dumps(document, sort_keys=True, separators=(",", ":")).encode()
    with pytest.raises(EvidenceRefused, match="another content"):
        WORLD.verify(pack_evidence(binding, signed + WORLD.root.sign(signed)))


@pytest.mark.parametrize(
    "change",
    [
        {"nonces": {}},
        {"nonces": {"alice": "00"}},
        {"nonces": {"alice": "0" * 64, "1": "0" * 64}},
        {"session": "xyz"},
        {"enclave": "a b"},
        {"policy": ""},
        {"nonces": {f"v{index}": "0" * 64 for index in range(257)}},
    ],
)
def test_a_malformed_binding_is_not_made_and_not_read(change: dict[str, object]) -> None:
    with pytest.raises(InputError):
        WORLD.binding(**change)
    with pytest.raises(EvidenceRefused, match="malformed"):
        Binding.parse({**WORLD.binding().document(), **change})


def test_report_data_differs_with_every_part() -> None:
    binding = WORLD.binding()
    same = Binding.parse(binding.document())
    assert same.report_data() == binding.report_data()
    assert len(binding.report_data()) == 64
    for change in ({"enclave": "b"}, {"role": "x"}, {"session": "1" * 16}, {"policy": "2" * 64}):
        assert WORLD.binding(nonces=binding.nonces, **change).report_data() != binding.report_data()
