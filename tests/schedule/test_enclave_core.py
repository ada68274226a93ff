"""The enclave against its host: every job, envelope and program that is not exactly what the owners agreed to."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tee_rig import Local, Rig

from tacit.foundation.errors import (
    EnclaveError,
    EnvelopeRefused,
    EnvelopeReplayed,
    EvidenceRefused,
    InputError,
    JobRefused,
    SessionError,
    UnknownParty,
)
from tacit.primitive.tee import Job, PrivateKeys, Program, Route, seal, unseal
from tacit.schedule.enclave import ENCLAVE_FUNCTIONS, Enclave, TeeParty, export_program, program_of
from tacit.schedule.enclave.program import check_calls

SCORE = Program("function", "linear.score")
INPUTS = {
    "w": ("alice", np.array([1.0, -2.0])),
    "b": ("alice", np.array(0.5)),
    "x": ("bob", np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])),
}
SCORES = np.array([-2.5, -4.5, -6.5])


@pytest.fixture
def local(tmp_path: Path) -> Local:
    return Local(Rig(tmp_path))


def proposed(local: Local, program: Program = SCORE) -> tuple[Job, list[bytes]]:
    job = local.propose(INPUTS, {"scores": ["bob"]}, program)
    return job, local.seal(job, INPUTS)


def test_a_sealed_model_scores_sealed_rows_and_only_the_receiver_reads(local: Local) -> None:
    job, envelopes = proposed(local)
    (result,) = local.enclave.run(job.to_bytes(), None, envelopes)
    assert np.array_equal(local.rig.party("bob").unseal(job.digest, "scores", result), SCORES)
    with pytest.raises(EnvelopeRefused, match="alice is no receiver"):
        local.rig.party("alice").unseal(job.digest, "scores", result)


def test_a_host_finds_no_plaintext_in_what_passes_its_hands(local: Local) -> None:
    job, envelopes = proposed(local)
    results = local.enclave.run(job.to_bytes(), None, envelopes)
    seen = b"".join([job.to_bytes(), *envelopes, *results])
    for array in (*(value for _, value in INPUTS.values()), SCORES):
        assert not any(number.tobytes() in seen for number in array.reshape(-1))


# --- the host changes the job ---------------------------------------------------------------------------------------


def swaps() -> dict[str, Callable[[Job], Job]]:
    stranger = PrivateKeys.generate().public
    return {
        "program": lambda job: dataclasses.replace(job, program=Program("function", "table.join")),
        "parameters": lambda job: dataclasses.replace(
            job, program=Program("function", SCORE.name, {"link": "logistic"})
        ),
        "receiver": lambda job: dataclasses.replace(
            job, outputs=(dataclasses.replace(job.outputs[0], to=("alice",)),), parties=dict(job.parties)
        ),
        "receiver's keys": lambda job: dataclasses.replace(job, parties={**job.parties, "bob": stranger}),
        "owner's keys": lambda job: dataclasses.replace(job, parties={**job.parties, "alice": stranger}),
        "name": lambda job: dataclasses.replace(
            job, inputs=(dataclasses.replace(job.inputs[0], name="v"), *job.inputs[1:])
        ),
        "id": lambda job: dataclasses.replace(job, id="0" * 32),
    }


@pytest.mark.parametrize("what", swaps())
def test_a_swapped_job_does_not_open_the_envelopes_of_the_real_one(local: Local, what: str) -> None:
    job, envelopes = proposed(local)
    with pytest.raises((EnvelopeRefused, JobRefused)):
        local.enclave.run(swaps()[what](job).to_bytes(), None, envelopes)
    (result,) = local.enclave.run(job.to_bytes(), None, envelopes)  # a refused try spoils nothing
    assert np.array_equal(local.rig.party("bob").unseal(job.digest, "scores", result), SCORES)


def test_envelopes_of_different_jobs_do_not_mix(local: Local) -> None:
    _, first = proposed(local)
    job, second = proposed(local)
    with pytest.raises(EnvelopeRefused, match="its job is another"):
        local.enclave.run(job.to_bytes(), None, [first[0], *second[1:]])


def test_envelopes_in_another_order_or_number_are_refused(local: Local) -> None:
    job, envelopes = proposed(local)
    with pytest.raises(EnvelopeRefused, match="2 envelopes came for the 3 inputs"):
        local.enclave.run(job.to_bytes(), None, envelopes[:2])
    with pytest.raises(EnvelopeRefused, match="is another"):
        local.enclave.run(job.to_bytes(), None, [envelopes[1], envelopes[0], envelopes[2]])
    with pytest.raises(EnvelopeRefused, match="is another"):
        local.enclave.run(job.to_bytes(), None, [envelopes[0]] * 3)


def test_every_byte_of_every_envelope_counts(local: Local) -> None:
    job, envelopes = proposed(local)
    for index, envelope in enumerate(envelopes):
        for place in range(0, len(envelope), 7):
            changed = bytearray(envelope)
            changed[place] ^= 1 << place % 8
            with pytest.raises(EnvelopeRefused):
                local.enclave.run(job.to_bytes(), None, [*envelopes[:index], bytes(changed), *envelopes[index + 1 :]])


def test_every_byte_of_the_job_counts(local: Local) -> None:
    job, envelopes = proposed(local)
    document = job.to_bytes()
    for place in range(0, len(document), 5):
        changed = bytearray(document)
        changed[place] ^= 1 << place % 7
        with pytest.raises((EnvelopeRefused, JobRefused)):
            local.enclave.run(bytes(changed), None, envelopes)


# --- replay ---------------------------------------------------------------------------------------------------------


def test_a_job_runs_once(local: Local) -> None:
    job, envelopes = proposed(local)
    local.enclave.run(job.to_bytes(), None, envelopes)
    with pytest.raises(JobRefused, match="ran already"):
        local.enclave.run(job.to_bytes(), None, envelopes)


def test_a_second_envelope_with_the_same_id_is_refused(local: Local) -> None:
    job, envelopes = proposed(local)
    local.enclave.run(job.to_bytes(), None, envelopes)
    local.enclave._spent.clear()  # were the job not remembered, its envelopes still would be
    with pytest.raises(EnvelopeReplayed):
        local.enclave.run(job.to_bytes(), None, envelopes)


def test_a_job_whose_program_fails_is_spent_too(local: Local) -> None:
    job = local.propose(INPUTS, {"scores": ["bob"]}, Program("function", "linear.score", {"link": "probit"}))
    envelopes = local.seal(job, INPUTS)
    with pytest.raises(EnclaveError, match=r"failed in enclave tee with InputError\. What it says stays inside"):
        local.enclave.run(job.to_bytes(), None, envelopes)
    with pytest.raises(JobRefused, match="ran already"):
        local.enclave.run(job.to_bytes(), None, envelopes)


def test_an_enclave_answers_a_nonce_once(local: Local) -> None:
    nonce = local.rig.party("alice").challenge("tee")
    local.enclave.attest({"alice": nonce})
    with pytest.raises(EvidenceRefused, match="answered before"):
        local.enclave.attest({"bob": nonce})


def test_an_owner_seals_an_input_once_and_a_receiver_opens_an_output_once(local: Local) -> None:
    job, envelopes = proposed(local)
    with pytest.raises(EnvelopeReplayed):
        local.rig.party("alice").seal(job.digest, "w", INPUTS["w"][1])
    (result,) = local.enclave.run(job.to_bytes(), None, envelopes)
    local.rig.party("bob").unseal(job.digest, "scores", result)
    with pytest.raises(EnvelopeReplayed):
        local.rig.party("bob").unseal(job.digest, "scores", result)


# --- another enclave ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "says"), [({"session": "f" * 16}, "session"), ({"name": "twin"}, "enclave"), ({}, "keys")]
)
def test_another_enclave_refuses_the_job(local: Local, change: dict[str, str], says: str) -> None:
    job, envelopes = proposed(local)
    other = local.start(**change)
    with pytest.raises(JobRefused, match=f"its {says} is another"):
        other.run(job.to_bytes(), None, envelopes)


def test_an_enclave_of_the_same_keys_under_another_policy_refuses_the_job(local: Local) -> None:
    job, envelopes = proposed(local)
    other = local.start(policy=dataclasses.replace(local.policy, receivers=("bob", "mallory")))
    other._keys = local.enclave._keys
    with pytest.raises(JobRefused, match="its policy is another"):
        other.run(job.to_bytes(), None, envelopes)


def test_owners_do_not_seal_to_an_enclave_they_have_not_verified(local: Local) -> None:
    job = local.propose(INPUTS, {"scores": ["bob"]}, SCORE)
    stranger = dataclasses.replace(job, keys=PrivateKeys.generate().public)
    alice = local.rig.party("alice")
    with pytest.raises(JobRefused, match="not for the enclave that alice verified: its keys"):
        alice.approve(stranger, "a test")
    with pytest.raises(EvidenceRefused, match="no verified evidence of enclave 'twin'"):
        alice.approve(dataclasses.replace(job, enclave="twin"), "a test")
    with pytest.raises(JobRefused, match="its assurance is another"):
        alice.approve(dataclasses.replace(job, assurance="ATTESTED"), "a test")
    with pytest.raises(JobRefused, match="has not approved job"):
        alice.seal(job.digest, "w", INPUTS["w"][1])


def test_evidence_that_fails_takes_earlier_trust_away(local: Local) -> None:
    alice = local.rig.party("alice")
    job = local.propose(INPUTS, {"scores": ["bob"]}, SCORE)
    with pytest.raises(EvidenceRefused):
        alice.verify("tee", local.enclave.attest({"alice": "0" * 64}), local.policy)
    with pytest.raises(EvidenceRefused, match="no verified evidence"):
        alice.approve(job, "a test")


# --- who gets what --------------------------------------------------------------------------------------------------


def test_results_go_to_receivers_of_the_policy_only(tmp_path: Path) -> None:
    local = Local(Rig(tmp_path), receivers=("bob",))
    job = local.propose(INPUTS, {"scores": ["alice", "bob"]}, SCORE)
    with pytest.raises(JobRefused, match="would go to alice; the policy lets results go to bob only"):
        local.rig.party("alice").approve(job, "a test")
    envelopes = [
        seal(value, Route.of_input(job, name), local.rig.party(owner)._keys) for name, (owner, value) in INPUTS.items()
    ]
    with pytest.raises(JobRefused, match="would go to alice"):  # also when the owners were talked into it
        local.enclave.run(job.to_bytes(), None, envelopes)


def test_a_policy_can_name_the_programs(tmp_path: Path) -> None:
    local = Local(Rig(tmp_path), programs=["function:table.join"])
    job = local.propose(INPUTS, {"scores": ["bob"]}, SCORE)
    with pytest.raises(JobRefused, match=r"not function:linear\.score"):
        local.rig.party("alice").approve(job, "a test")


def test_owners_check_the_keys_of_receivers(local: Local) -> None:
    """A host that writes its own keys under a receiver's name would read the result."""
    job = local.propose(INPUTS, {"scores": ["bob"]}, SCORE)
    swapped = dataclasses.replace(job, parties={**job.parties, "bob": PrivateKeys.generate().public})
    with pytest.raises(JobRefused, match="other keys of bob than bob announced"):
        local.rig.party("alice").approve(swapped, "a test")
    stranger = dataclasses.replace(
        job,
        outputs=(dataclasses.replace(job.outputs[0], to=("bob", "dave")),),
        parties={**job.parties, "dave": PrivateKeys.generate().public},
    )
    with pytest.raises(UnknownParty, match="dave has not announced"):
        local.rig.party("alice").approve(stranger, "a test")


def test_announcements_are_of_their_sender_session_and_do_not_change(local: Local) -> None:
    alice, bob = local.rig.party("alice"), local.rig.party("bob")
    alice.meet("bob", bob.announcement())
    with pytest.raises(SessionError, match="carol announced is not its keys"):
        alice.meet("carol", bob.announcement())
    twin = TeeParty("bob", local.rig.session, bob.ledger)
    with pytest.raises(SessionError, match="other keys before"):
        alice.meet("bob", twin.announcement())
    elsewhere = TeeParty("dave", "f" * 16, bob.ledger)
    with pytest.raises(SessionError, match="of this session"):
        alice.meet("dave", elsewhere.announcement())
    for bad in (b"", b"{}", b"x" * 5000):
        with pytest.raises((SessionError, EnclaveError)):
            alice.meet("dave", bad)


def test_an_owner_seals_its_own_inputs_as_the_job_says(local: Local) -> None:
    job = local.propose(INPUTS, {"scores": ["bob"]}, SCORE)
    alice = local.rig.party("alice")
    alice.approve(job, "a test")
    with pytest.raises(JobRefused, match="is bob's, not alice's"):
        alice.seal(job.digest, "x", INPUTS["x"][1])
    for value in (np.zeros(3), np.zeros(2, np.float32), np.zeros((2, 1))):
        with pytest.raises(InputError, match="agreed on says <f8 of shape"):
            alice.seal(job.digest, "w", value)


def test_an_owner_that_seals_another_shape_is_refused_by_the_enclave(local: Local) -> None:
    job, envelopes = proposed(local)
    liar = seal(np.zeros(3), Route.of_input(job, "w"), local.rig.party("alice")._keys)
    with pytest.raises(EnvelopeRefused, match=r"shape \[3\]; the job says <f8 of shape \[2\]"):
        local.enclave.run(job.to_bytes(), None, [liar, *envelopes[1:]])


def test_everything_is_in_the_ledgers_before_it_happens(local: Local) -> None:
    job, envelopes = proposed(local)
    (result,) = local.enclave.run(job.to_bytes(), None, envelopes)
    local.rig.party("bob").unseal(job.digest, "scores", result)
    assert [record["kind"] for record in local.rig.records("alice")] == ["tee-verify", "tee-approve"] + ["tee-seal"] * 2
    kinds = [record["kind"] for record in local.rig.records("bob")]
    assert kinds == ["tee-verify", "tee-approve", "tee-seal", "tee-unseal"]
    for record in (*local.rig.records("alice"), *local.rig.records("bob")):
        assert record["assurance"] == "SIMULATED"
        if record["kind"] != "tee-verify":
            assert record["outputs"] == {"scores": ["bob"]}
            assert record["job"] == job.digest
            assert "reads the SIMULATED enclave's memory" in record["host_sees"]


def test_a_ledger_that_cannot_be_written_keeps_the_value_in(local: Local, monkeypatch: pytest.MonkeyPatch) -> None:
    job = local.propose(INPUTS, {"scores": ["bob"]}, SCORE)
    alice = local.rig.party("alice")
    alice.approve(job, "a test")
    alice.ledger.close()
    with pytest.raises(Exception, match="cannot be written"):
        alice.seal(job.digest, "w", INPUTS["w"][1])


# --- programs -------------------------------------------------------------------------------------------------------


def exported() -> bytes:
    def both(x: object, y: object) -> dict[str, object]:
        import jax.numpy as jnp

        return {"sum": x + y, "eigen": jnp.linalg.eigvalsh(x @ x.T)}

    return export_program(both, [((2, 2), "<f8"), ((2, 2), "<f8")])


MATRICES = {"x": ("alice", np.array([[2.0, 1.0], [0.0, 3.0]])), "y": ("bob", np.eye(2))}


def test_an_exported_program_runs_by_its_hash(local: Local) -> None:
    blob = exported()
    job = local.propose(MATRICES, {"eigen": ["bob"], "sum": ["alice", "bob"]}, program_of(blob))
    eigen, to_alice, to_bob = local.enclave.run(job.to_bytes(), blob, local.seal(job, MATRICES))
    x = MATRICES["x"][1]
    for party, name, envelope, value in (
        ("bob", "eigen", eigen, np.linalg.eigvalsh(x @ x.T)),
        ("alice", "sum", to_alice, x + np.eye(2)),
        ("bob", "sum", to_bob, x + np.eye(2)),
    ):
        assert np.allclose(local.rig.party(party).unseal(job.digest, name, envelope), value, rtol=1e-12)


def test_a_swapped_or_missing_program_is_refused(local: Local) -> None:
    blob = exported()
    job = local.propose(MATRICES, {"eigen": ["bob"], "sum": ["bob"]}, program_of(blob))
    envelopes = local.seal(job, MATRICES)
    with pytest.raises(JobRefused, match="it was swapped or changed"):
        local.enclave.run(job.to_bytes(), blob[:-1] + b"\0\0", envelopes)
    with pytest.raises(JobRefused, match="did not come with its job"):
        local.enclave.run(job.to_bytes(), None, envelopes)
    job, envelopes = proposed(local)
    with pytest.raises(JobRefused, match="nobody asked for"):
        local.enclave.run(job.to_bytes(), blob, envelopes)
    unknown = local.propose(INPUTS, {"scores": ["bob"]}, Program("function", "os.system"))
    with pytest.raises(JobRefused, match=r"no enclave function 'os\.system'"):
        local.enclave.run(unknown.to_bytes(), None, local.seal(unknown, INPUTS))


@pytest.mark.parametrize("blob", [b"", b"no program", bytes(1000)])
def test_what_is_no_program_is_refused_though_its_hash_was_signed(local: Local, blob: bytes) -> None:
    job = local.propose(MATRICES, {"sum": ["bob"]}, Program("exported", hashlib.sha256(blob).hexdigest()))
    with pytest.raises(JobRefused, match="no exported JAX program"):
        local.enclave.run(job.to_bytes(), blob, local.seal(job, MATRICES))


def test_a_program_that_reaches_out_is_refused_though_its_hash_was_signed(local: Local) -> None:
    import jax
    from jax import export

    with jax.enable_x64(True):
        reach = jax.jit(lambda x, y: jax.ffi.ffi_call("reach_out", jax.ShapeDtypeStruct((2, 2), np.float64))(x + y))
        spec = jax.ShapeDtypeStruct((2, 2), np.float64)
        allow = [export.DisabledSafetyCheck.custom_call("reach_out")]
        blob = bytes(export.export(reach, platforms=["cpu"], disabled_checks=allow)(spec, spec).serialize())
    job = local.propose(MATRICES, {"sum": ["bob"]}, program_of(blob))
    with pytest.raises(JobRefused, match=r"reaches out of its computation: 'custom_call @reach_out"):
        local.enclave.run(job.to_bytes(), blob, local.seal(job, MATRICES))


@pytest.mark.parametrize(
    "text",
    [
        "stablehlo.custom_call @xla_python_cpu_callback(%0)",
        '"stablehlo.custom_call"(%0) <{call_target_name = "lapack_dgetrf_ffi"}>',
        'stablehlo.custom_call @"lapack_dgetrf_ffi"(%0)',
        "stablehlo.custom_call @lapack_dgetrf(%0)",
        "stablehlo.outfeed %0",
        "stablehlo.send %0",
    ],
)
def test_only_calls_of_a_closed_list_pass(text: str) -> None:
    with pytest.raises(JobRefused, match="reaches out"):
        check_calls(f"func.func @main() {{ {text} }}")
    check_calls("stablehlo.custom_call @lapack_dgetrf_ffi(%0)")


def test_a_program_of_other_arguments_or_results_is_refused(local: Local) -> None:
    blob = exported()
    job = local.propose(INPUTS, {"sum": ["bob"]}, program_of(blob))
    with pytest.raises(JobRefused, match="and the job's inputs are"):
        local.enclave.run(job.to_bytes(), blob, local.seal(job, INPUTS))
    job = local.propose(MATRICES, {"sum": ["bob"]}, program_of(blob))
    with pytest.raises(JobRefused, match="gives 2 results; the job names 1 outputs"):
        local.enclave.run(job.to_bytes(), blob, local.seal(job, MATRICES))


def test_what_an_error_says_stays_inside(local: Local, monkeypatch: pytest.MonkeyPatch) -> None:
    def leak(*values: np.ndarray) -> list[np.ndarray]:
        raise JobRefused(f"the weights are {values[0]}")

    monkeypatch.setitem(ENCLAVE_FUNCTIONS, "linear.score", leak)
    job, envelopes = proposed(local)
    with pytest.raises(EnclaveError) as caught:
        local.enclave.run(job.to_bytes(), None, envelopes)
    assert "-2" not in str(caught.value)
    assert caught.value.__suppress_context__


def test_results_that_cannot_travel_are_refused(local: Local, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ENCLAVE_FUNCTIONS, "linear.score", lambda *_: [np.array(["secret text"])])
    job, envelopes = proposed(local)
    with pytest.raises(InputError, match="do not travel") as caught:
        local.enclave.run(job.to_bytes(), None, envelopes)
    assert "secret" not in str(caught.value)


# --- library functions ----------------------------------------------------------------------------------------------


def test_a_join_keeps_common_identifiers(local: Local) -> None:
    inputs = {
        "left_ids": ("alice", np.array([3, 1, 7])),
        "left": ("alice", np.array([[30.0], [10.0], [70.0]])),
        "right_ids": ("bob", np.array([7, 2, 3])),
        "right": ("bob", np.array([[0.7, 7.7], [0.2, 2.2], [0.3, 3.3]])),
    }
    job = local.propose(inputs, {"ids": ["alice"], "rows": ["alice"]}, Program("function", "table.join"))
    ids, rows = local.enclave.run(job.to_bytes(), None, local.seal(job, inputs))
    alice = local.rig.party("alice")
    assert alice.unseal(job.digest, "ids", ids).tolist() == [3, 7]
    assert alice.unseal(job.digest, "rows", rows).tolist() == [[30.0, 0.3, 3.3], [70.0, 0.7, 7.7]]


def test_library_functions_check_their_arguments() -> None:
    score, join = ENCLAVE_FUNCTIONS["linear.score"], ENCLAVE_FUNCTIONS["table.join"]
    with pytest.raises(InputError, match="does not score rows"):
        score(np.zeros(2), np.array(0.0), np.zeros((2, 3)))
    with pytest.raises(InputError, match="several rows"):
        join(np.array([1, 1]), np.zeros((2, 1)), np.array([1]), np.zeros((1, 1)))
    with pytest.raises(InputError, match="do not go with rows"):
        join(np.array([1, 2]), np.zeros((3, 1)), np.array([1]), np.zeros((1, 1)))
    (half,) = score(np.zeros(2), np.array(0.0), np.zeros((3, 2)), link="logistic")
    assert half.tolist() == [0.5] * 3


def test_what_an_enclave_and_a_party_show_holds_no_key(local: Local) -> None:
    enclave: Enclave = local.enclave
    for keys, shown in (
        (enclave._keys, repr(enclave)),
        (local.rig.party("alice")._keys, repr(local.rig.party("alice"))),
    ):
        for secret in (keys._sealing.private_bytes_raw(), keys._signing.private_bytes_raw()):
            assert secret.hex() not in shown
            assert secret.hex() not in json.dumps(enclave.hello)
    assert "SIMULATED" in repr(enclave)
    assert unseal.__doc__
