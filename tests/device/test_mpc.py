"""The MPC device: sharing, caching, constants, shares at rest, and what the parties keep."""

from __future__ import annotations

import functools
import gc
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import tacit
from tacit import MPC, Replicated, Session
from tacit.device import mpc as module
from tacit.device.caller import user_line
from tacit.foundation.errors import (
    ConfigError,
    DomainError,
    FixedPointOverflow,
    InputError,
    SecrecyError,
    UnsupportedOperation,
)

pytestmark = pytest.mark.multiprocess

X = np.array([[1.5, -2.25], [3.0, 0.5]])


def open_to_bob(value: Any) -> Any:
    return tacit.reveal(value, to="bob", because="a test")


def held(session: Session) -> dict[str, int]:
    """How many values each party keeps."""
    gc.collect()
    return {party: facts["values"] for party, (facts, _) in session.ask(session.parties, "profile", {}).items()}


@pytest.fixture
def sent(session: Session, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The kinds of all commands sent from now on."""
    kinds: list[str] = []
    send = session._send

    def note(party: str, message: Any) -> None:
        kinds.append(str(bytes(message[0][4:40])))
        send(party, message)

    monkeypatch.setattr(session, "_send", note)
    return kinds


# --- in -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("owner", ["alice", "bob", "carol"])
@pytest.mark.parametrize(
    "data",
    [X, X[0], np.array(2.5), np.zeros((0, 2)), np.zeros((3, 0, 2)), np.array([5, -7]), np.array(2**61), np.array([True, False]),
     np.array(True), np.zeros(0, bool), np.zeros(0, int)],
    ids=lambda data: f"{data.dtype}{list(data.shape)}",
)  # fmt: skip
def test_every_party_shares_values_of_every_kind_and_shape(share: Any, data: Any, owner: str) -> None:
    secret = share(data, owner)
    assert secret.shape == data.shape
    opened = open_to_bob(secret)
    np.testing.assert_array_equal(opened, data)
    assert opened.dtype == data.dtype
    assert opened.shape == data.shape


@pytest.mark.parametrize(
    ("data", "error", "message"),
    [
        ([1.0, np.nan], DomainError, "element 1 is nan"),
        ([np.inf], DomainError, "element 0 is inf"),
        ([1.0, 2.0**45], FixedPointOverflow, r"reached 3.52e\+13 but 18 fraction bits leave room for 1.76e\+13"),
        ([2**62], InputError, "must stay below 2\\*\\*62"),
        ([-(2**63)], InputError, "must stay below 2\\*\\*62"),
    ],
)
def test_inputs_out_of_range_are_refused_before_anything_moves(
    session: Session, mpc: MPC, share: Any, data: Any, error: type[Exception], message: str
) -> None:
    before = session.profile()
    with pytest.raises(error, match=message) as caught:
        share(data)
    if error is FixedPointOverflow:
        assert (caught.value.observed, caught.value.fraction_bits) == (2.0**45, 18)
    after = session.profile()
    assert (after.rounds, after.messages) == (before.rounds, before.messages)
    np.testing.assert_array_equal(open_to_bob(share(X)), X)


def test_a_value_is_shared_once_while_its_handle_lives(session: Session, mpc: MPC, sent: list[str]) -> None:
    x = session.plain("alice").put(X)
    first = mpc.share(x)
    number = len(sent)
    assert mpc.share(x) is first
    assert open_to_bob(mpc(lambda a: a.sum())(x)) == X.sum()
    assert not any('"share"' in kind for kind in sent[number:])


def test_a_party_outside_of_the_device_cannot_share_and_learns_nothing(tmp_path: Path) -> None:
    with Session.local("alice", "bob", "carol", "dave", state=tmp_path) as session:
        mpc = session.mpc()
        with pytest.raises(ConfigError, match="dave takes no part in MPC"):
            mpc.share(session.plain("dave").put(X))
        with pytest.raises(ConfigError, match=r"cannot reveal to dave: the parties of MPC.* are alice, bob, carol"):
            tacit.reveal(mpc.share(session.plain("alice").put(X)), to="dave", because="curious")
        # A second device among others, used in turns with the first.
        other = session.mpc(parties=["dave", "carol", "alice"])
        x, y = mpc.share(session.plain("alice").put(X)), other.share(session.plain("dave").put(X))
        for _ in range(3):
            x, y = x * 2, y + 1
            np.testing.assert_array_equal(tacit.reveal(y, to="dave", because="in turns"), X + _ + 1)
            np.testing.assert_allclose(tacit.reveal(x, to="carol", because="in turns"), X * 2 ** (_ + 1), atol=1e-4)
        with pytest.raises(InputError, match="belongs to another device"):
            _ = x + y
        with pytest.raises(InputError, match="different devices cannot be revealed in one call"):
            tacit.reveal([x, y], to="alice", because="mixed")
        with pytest.raises(ConfigError, match="three parties, not 2"):
            session.mpc(parties=["alice", "bob"])
        with pytest.raises(ConfigError, match="no party 'eve'"):
            session.mpc(parties=["alice", "bob", "eve"])


# --- out ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "to", ["alice", "bob", "carol", ["alice", "bob"], ("bob", "carol"), ["alice", "bob", "carol"], ["bob", "bob"]]
)
def test_reveals_go_to_whom_they_name(session: Session, share: Any, to: Any) -> None:
    x, n, p = share(X), share([1, 2]), share([True])
    before = session.profile().rounds
    opened = tacit.reveal({"x": x, "rest": (n, [p]), "public": 3}, to=to, because="structure")
    assert session.profile().rounds == before + 1
    np.testing.assert_array_equal(opened["x"], X)
    np.testing.assert_array_equal(opened["rest"][0], [1, 2])
    np.testing.assert_array_equal(opened["rest"][1][0], [True])
    assert opened["public"] == 3


@pytest.mark.parametrize("because", ["", "  ", None, 5])
def test_a_reveal_needs_a_reason(share: Any, because: Any) -> None:
    with pytest.raises(InputError, match="needs a reason"):
        tacit.reveal(share(X), to="alice", because=because)


def test_a_reveal_needs_known_receivers(share: Any) -> None:
    x = share(X)
    with pytest.raises(InputError, match="at least one receiver"):
        tacit.reveal(x, to=[], because="nobody")
    with pytest.raises(ConfigError, match="cannot reveal to eve"):
        tacit.reveal(x, to=["alice", "eve"], because="a typo")
    np.testing.assert_array_equal(open_to_bob(x), X)


def test_what_no_secret_enters_is_revealed_too(share: Any) -> None:
    np.testing.assert_array_equal(open_to_bob(np.ones_like(share(X))), np.ones((2, 2)))


def test_public_values_pass_through_a_reveal() -> None:
    assert tacit.reveal([1, "two"], to="alice", because="nothing secret") == [1, "two"]


# --- programs -----------------------------------------------------------------------------------------------------


def test_functions_take_structures_public_arrays_and_plain_values(session: Session, mpc: MPC, share: Any) -> None:
    weights = {"w": share(X, "bob"), "b": session.plain("carol").put(np.array([0.5, 1.0]))}

    @mpc
    def model(weights: Any, x: Any, scale: float, axis: int, names: tuple[str, ...]) -> Any:
        assert names == ("score", "top")
        scores = (x @ weights["w"] + weights["b"]) * scale
        return {names[0]: scores, names[1]: scores.max(axis)}

    result = model(weights, X, 2.0, 1, ("score", "top"))
    expected = (X @ X + [0.5, 1.0]) * 2.0
    opened = tacit.reveal(result, to="alice", because="scores")
    np.testing.assert_allclose(opened["score"], expected, atol=2**-13)
    np.testing.assert_allclose(opened["top"], expected.max(1), atol=2**-13)


def test_a_program_is_compiled_and_sent_once(
    mpc: MPC, share: Any, sent: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    compiled: list[str] = []
    compile_function = module.compile_function

    def count(*arguments: Any) -> Any:
        result = compile_function(*arguments)
        compiled.append(result.digest)
        return result

    monkeypatch.setattr(module, "compile_function", count)
    x, y = share(X), share(X + 0.25)
    function = mpc(lambda a: jnp.tanh(a) * 0.3125)
    for secret in (x, y, x):
        open_to_bob(function(secret))
    assert len(compiled) == 1
    assert sum('"program"' in kind for kind in sent) == 3  # once to each party
    for secret in (x, y):  # operators are known by name, their public operands by value
        open_to_bob((secret * np.array([0.125, 3.5]))[:, 1:])
    assert len(compiled) == 2
    open_to_bob((x * np.array([0.125, 3.0]))[:, 1:])
    open_to_bob((x * np.array([0.125, 3.5]))[:, :1])
    assert len(compiled) == 4
    # A new function of the same meaning is compiled again, but not sent again.
    number = sum('"program"' in kind for kind in sent)
    open_to_bob(mpc(lambda a: jnp.tanh(a) * 0.3125)(x))
    assert len(compiled) == 5
    assert compiled[4] == compiled[0]
    assert sum('"program"' in kind for kind in sent) == number


def test_functions_that_cannot_be_hashed_are_told_apart(mpc: MPC, share: Any) -> None:
    class Scale:
        __hash__ = None  # type: ignore[assignment]

        def __init__(self, factor: float) -> None:
            self.factor = factor

        def __eq__(self, other: object) -> bool:
            return True

        def __call__(self, x: Any) -> Any:
            return x * self.factor

        def method(self, x: Any) -> Any:
            return x * self.factor

    x = share(X)
    for factor in (2.0, 3.0, 4.0):
        scale = Scale(factor)
        for function in (scale, scale.method, functools.partial(jnp.multiply, factor)):
            np.testing.assert_allclose(open_to_bob(mpc(function)(x)), X * factor, atol=2**-15)


def test_public_arguments_are_taken_as_they_are_now(mpc: MPC, share: Any) -> None:
    x, factor = share(X), np.array([1.0, 2.0])
    result = x * factor
    factor[:] = 100.0
    np.testing.assert_allclose(open_to_bob(result), X * [1.0, 2.0], atol=2**-15)


def test_the_cache_of_programs_is_bounded(mpc: MPC, share: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CACHED_PROGRAMS", 3)
    mpc._programs.clear()
    x = share(X)
    for number in range(6):
        np.testing.assert_array_equal(open_to_bob(x + float(number)), X + number)
    assert len(mpc._programs) == 3


def test_many_pending_calls_run_as_one_program(session: Session, mpc: MPC, share: Any) -> None:
    a, b = share(X), share(X + 1, "bob")
    before = session.profile().rounds
    results = [a * b, a * 2.5 * b, (a + b) * (a - b), a * a]
    session.run(results)
    together = session.profile().rounds - before
    assert together == max(facts["rounds"] for facts in mpc.last_run.values()) <= 3
    assert all(result.id is not None for result in results)
    np.testing.assert_allclose(open_to_bob(results[2]), X**2 - (X + 1) ** 2, atol=2**-14)


def test_a_run_says_when_it_began_and_ended(session: Session, mpc: MPC, share: Any) -> None:
    result = share(X) @ share(X, "bob")
    name, number = user_line().split(":")
    where = f"{name}:{int(number) - 1}"
    session.run(result, timing=True)
    facts = mpc.last_run
    assert set(facts) == {"alice", "bob", "carol"}
    first = min(fact["began"] for fact in facts.values())
    last = max(fact["ended"] for fact in facts.values())
    assert 0 < last - first < 60
    for fact in facts.values():
        assert fact["seconds"] == pytest.approx(fact["ended"] - fact["began"])
    (line,) = [line for line in session.profile().lines if line.source == where and line.operation != "program"]
    assert line.operation == "dot_general"
    assert line.calls > 0


def test_branching_on_a_secret_is_refused_with_the_users_line(mpc: MPC, share: Any) -> None:
    with pytest.raises(SecrecyError, match=r"value of a secret in the call at test_mpc.py:\d+.*jnp.where"):
        mpc(lambda x: x if x[0, 0] > 0 else -x)(share(X))
    with pytest.raises(SecrecyError, match=r"jax.numpy instead of NumPy"):
        mpc(lambda x: np.asarray(x) + 1)(share(X))


def test_errors_of_the_users_own_function_come_as_they_are(mpc: MPC, share: Any) -> None:
    def function(x: Any) -> Any:
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        mpc(function)(share(X))


def test_what_cannot_be_compiled_leaves_the_session_as_it_was(mpc: MPC, share: Any) -> None:
    x = share(X)
    endless = mpc(lambda v: jax.lax.while_loop(lambda s: s.sum() < 10, lambda s: s + 1, v))(x)
    with pytest.raises(UnsupportedOperation, match=r"test_mpc.py:\d+"):
        open_to_bob(endless)
    np.testing.assert_array_equal(open_to_bob(x), X)


# --- constants, and at rest ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("data", [X, np.array([3, -4]), np.array([True, False]), 2.5, np.zeros((0, 2))])
def test_constants_are_secrets_that_cost_nothing(session: Session, mpc: MPC, data: Any) -> None:
    before = session.profile().messages
    constant = mpc.constant(data)
    assert session.profile().messages == before
    np.testing.assert_array_equal(open_to_bob(constant), data)
    with pytest.raises(DomainError):
        mpc.constant([np.nan])


def test_shares_are_saved_and_restored(session: Session, mpc: MPC, share: Any, tmp_path: Path) -> None:
    values = {"weights": share(X) * 1.5, "count": share([3, 4], "bob"), "scalar": share(0.5)}
    mpc.save(values, tmp_path / "model")
    files = sorted(path.name for path in (tmp_path / "model").iterdir())
    assert files == ["alice.share", "bob.share", "carol.share"]
    assert all(path.stat().st_mode & 0o077 == 0 for path in (tmp_path / "model").iterdir())
    del values
    back = mpc.restore(["scalar", "weights", "count"], tmp_path / "model")
    np.testing.assert_allclose(open_to_bob(back["weights"] * 2), X * 3, atol=2**-15)
    np.testing.assert_array_equal(open_to_bob(back["count"]), [3, 4])
    assert open_to_bob(back["scalar"]) == 0.5
    with Session.local("alice", "bob", "carol", state=tmp_path) as later:
        again = later.mpc().restore(["weights"], tmp_path / "model")["weights"]
        np.testing.assert_allclose(open_to_bob(again), X * 1.5, atol=2**-15)


def test_files_that_do_not_fit_are_refused_and_nothing_is_kept(
    session: Session, mpc: MPC, share: Any, tmp_path: Path
) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    x = share(X)
    mpc.save({"x": x}, one)
    mpc.save({"x": x, "y": x}, two)
    before = held(session)

    with pytest.raises(InputError, match=r"holds \['x'\], but not 'y'"):
        mpc.restore(["y"], one)
    with pytest.raises(InputError, match=r"no share file alice.share: No such file"):
        mpc.restore(["x"], tmp_path / "none")
    good = {name: (one / f"{name}.share").read_bytes() for name in session.parties}
    cases = {
        "files belong to different models": {"bob": (two / "bob.share").read_bytes()},
        "bob.share is damaged": {"bob": good["bob"][:-40] + bytes([good["bob"][-40] ^ 1]) + good["bob"][-39:]},
        "alice.share is damaged": {"alice": good["alice"][:20]},
        "bob.share holds alice's shares": {"bob": good["alice"]},
        "carol.share holds bob's shares": {"carol": good["bob"]},
    }
    for message, files in cases.items():
        for name in session.parties:
            (one / f"{name}.share").write_bytes(files.get(name, good[name]))
        with pytest.raises(InputError, match=message):
            mpc.restore(["x"], one)
    assert held(session) == before
    with pytest.raises(InputError, match="p is a truth value or public"):
        mpc.save({"p": share([True])}, tmp_path / "three")
    np.testing.assert_array_equal(open_to_bob(x), X)


# --- what the parties keep ----------------------------------------------------------------------------------------


def test_values_are_dropped_when_their_handles_die(session: Session, mpc: MPC) -> None:
    alice = session.plain("alice")
    before = held(session)
    x = alice.put(X)
    secret = mpc.share(x)
    result = secret * 2
    session.run(result)
    assert held(session) == {"alice": before["alice"] + 3, "bob": before["bob"] + 2, "carol": before["carol"] + 2}
    del result
    assert held(session) == {"alice": before["alice"] + 2, "bob": before["bob"] + 1, "carol": before["carol"] + 1}
    del x, secret
    assert held(session) == before


def test_a_loop_keeps_no_values_behind(session: Session, mpc: MPC) -> None:
    alice = session.plain("alice")
    x = mpc.share(alice.put(X))
    step = mpc(lambda v: v * 0.5)
    before = held(session)
    for _ in range(5):
        x = step(x)
        session.run(x)
        y = alice.put(X)
        alice(lambda v: v + 1)(y)
    del y
    assert held(session) == before


def test_a_pending_result_keeps_what_it_needs(session: Session, mpc: MPC) -> None:
    x = mpc.share(session.plain("alice").put(X))
    pending = (x + 1) * 2
    del x
    held(session)
    np.testing.assert_allclose(open_to_bob(pending), (X + 1) * 2, atol=2**-15)


def test_devices_of_two_protocols_side_by_side(session: Session, mpc: MPC, tmp_path: Path) -> None:
    other = session.mpc(Replicated(), parties=["carol", "alice", "bob"])
    value = session.plain("bob").put(X)
    a, b = mpc.share(value), other.share(value)
    for _ in range(2):
        a, b = a * a, b * b
        np.testing.assert_allclose(open_to_bob(a), open_to_bob(b), atol=2**-12)
    picked = [open_to_bob(np.where(x > 1.0, x, -x).max(axis=1)) for x in (a, b)]
    np.testing.assert_allclose(picked[0], picked[1], atol=2**-12)
    other.save({"b": b}, tmp_path)
    np.testing.assert_array_equal(open_to_bob(other.restore(["b"], tmp_path)["b"]), open_to_bob(b))
    with pytest.raises(
        InputError, match=r"holds alice's shares under ReplicatedKernel .* not alice's under AssistedKernel"
    ):
        mpc.restore(["b"], tmp_path)


def test_scalars_of_two_owners(share: Any) -> None:
    total = share(1.5, "alice") + share(2.25, "bob") - share(0.5, "carol")
    assert tacit.reveal(total, to="alice", because="a test") == 3.25
