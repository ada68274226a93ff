"""The conversion matrix: how a value moves from one kind of device to another. A missing pair is an error at plan time.

Every conversion is one node of the graph; its docstring says who learns what, and what it costs. Where a party learns a
value, `because` is needed and is written into the ledgers.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator
from typing import Any

import jax
import numpy as np

from tacit.device.caller import user_line
from tacit.device.executor import Answers, Request, Steps, ask
from tacit.device.handle import Device, Handle, Task
from tacit.device.he import FRACTION_BITS, HE, Cipher
from tacit.device.mpc import MPC
from tacit.device.plain import Plain, PlainValue
from tacit.device.privacy import Draw, Drawer, Drawn, Gate, Ready, at, noise_of
from tacit.device.secret import Secret
from tacit.device.tee import TEE, Sealed
from tacit.foundation.errors import ConfigError, InputError, NoRoute, PolicyError, UnsupportedOperation
from tacit.primitive.dp import Mechanism
from tacit.primitive.mpc.kernel import VALUE_BITS

VALUE_TYPES = {"f": np.float64, "i": np.int64, "u": np.int64, "b": np.bool_}
"""What a number of a program is outside of it."""


def transfer(value: Handle, device: Device, *, because: str = "", privacy: Any = None, release_exact: str = "") -> Any:
    """The value on another device. Raises NoRoute, InputError for a missing reason, ConfigError for a stranger, PolicyError."""
    if value.device is device:
        return value
    pair = (type(value.device), type(device))
    if pair not in TRANSFERS:
        raise NoRoute(f"nothing brings a value from {value.device!r} to {device!r} at once. {_advice(*pair)}")
    if isinstance(device, Plain):
        needs_reason(value, device, because)
        options = {"because": because, "line": user_line(), "privacy": privacy, "release_exact": release_exact}
        return TRANSFERS[pair](value, device, Gate([value], [device.party], **options).check())
    if privacy is not None or release_exact:
        raise InputError(f"{device!r} hides values from everybody: noise is added when one leaves it")
    return TRANSFERS[pair](value, device, because)


def needs_reason(value: Handle, device: Device, because: str) -> str:
    """The reason for showing a value to somebody. Raises InputError when there is none."""
    if not because.strip():
        raise InputError(
            f"{device!r} would learn {value!r}: say why with because='...', which goes into the ledgers, or keep it on a "
            "device that hides it"
        )
    return because


def _advice(source: type, target: type) -> str:
    """A way round by the fewest conversions, and none that shows the value to a party."""
    ways: dict[type, list[type]] = {source: []}
    queue = deque([source])
    while queue:
        here = queue.popleft()
        for start, end in TRANSFERS:
            if start is here and end not in ways and end is not Plain:
                ways[end] = [*ways[here], end]
                queue.append(end)
    if target not in ways or len(ways[target]) < 2:
        return "There is no way round either."
    return "Go by " + ", then ".join(f".to({kind.__name__} device)" for kind in ways[target]) + "."


# --- the conversions --------------------------------------------------------------------------------------------------


def plain_to_plain(value: PlainValue, device: Plain, gate: Gate) -> PlainValue:
    """Show a party's own value to another party.

    Reveals: the value, to the receiver, by the owner's decision; with privacy, what a mechanism of the sender's process made of
    it. Costs: 1 round, the array's bytes.
    """
    holder = value.device.party
    draw = _drawn_alone(value, gate.privacy) if gate.privacy is not None else None
    shape, dtype = _noisy_type(value, gate.privacy)

    def steps() -> Steps:
        yield from gate.pay(draw)
        source = value.id
        if draw is not None:
            source = device.executor.new_id()
            yield at(holder, "privacy.release", {"drawing": draw.drawing()}, [value.id], [source])
        fields = {
            "sender": holder,
            "receiver": device.party,
            "source": source,
            "id": moved.id,
            "shape": list(shape),
            "dtype": dtype.str,
            "because": gate.because,
            "line": gate.line,
        }
        yield ask([holder, device.party], "move", fields)
        if draw is not None:
            device.executor.drop_later([source])

    task = Task(device, "show", [value], gate.line, steps)
    moved = PlainValue(device, shape, dtype, node=task, owners=gate.left())
    return moved


def plain_to_mpc(value: PlainValue, device: MPC, because: str) -> Secret:  # noqa: ARG001  nobody learns anything
    """Share a party's own value; see `MPC.share`. Reveals: nothing. Costs: 1 round, 8 bytes per element."""
    return device.share(value)


def mpc_to_plain(value: Secret, device: Plain, gate: Gate) -> PlainValue:
    """Open a secret to one party, where it stays.

    Reveals: the value, to that party; with privacy, the value with noise that no party knows.
    Costs: 1 round, 8 bytes per element (1 bit for truth values) to it; and what the noise costs.
    """
    source = value.device
    if device.party not in source.names:
        raise ConfigError(f"{device.party} takes no part in {source!r}; open to {', '.join(source.names)}")

    draw = secret_draw([value], gate.privacy) if gate.privacy is not None else None

    def steps() -> Steps:
        yield from gate.pay(draw)
        fields = {
            "device": source.number,
            "ids": [value.id],
            "to": [device.party],
            "because": gate.because,
            "line": gate.line,
            "keep": [opened.id],
            **noise_fields(draw, source),
        }
        yield ask(source.names, "reveal", fields)

    task = Task(device, "reveal", [value], gate.line, steps)
    opened = PlainValue(device, value.shape, VALUE_TYPES[value.dtype.kind], node=task, owners=gate.left())
    return opened


def mpc_to_mpc(value: Secret, device: MPC, because: str) -> Secret:  # noqa: ARG001
    """From one protocol to another, by two parties that take part in both.

    Reveals: nothing; each of the two sees a uniformly random part. Costs: 3 rounds, 32 bytes per element (Assisted).
    """
    source = value.device
    both = [party for party in source.names if party in device.names]
    if len(both) < 2:
        raise ConfigError(
            f"{source!r} and {device!r} have {len(both)} parties in common; a secret moves between them by two"
        )
    masker, other = both[0], both[1]
    ids = {party: device.executor.new_id() for party in (masker, other)}
    kind = secret_kind(value)

    def steps() -> Steps:
        yield part_request(value, masker, other, ids)
        yield from unite_steps(moved, ids, kind, source.protocol.fraction_bits)

    moved = Secret(
        device, value.shape, value.dtype, node=Task(device, "to " + repr(device), [value], user_line(), steps)
    )
    return moved


def secret_kind(value: Secret) -> str:
    """Raises InputError for truth values, which have no ring parts."""
    if value.dtype.kind == "b":
        raise InputError(f"{value!r} is a truth value; convert it with .astype(int) before it moves to another device")
    return "fixed" if value.dtype.kind == "f" else "int"


def part_request(value: Secret, masker: str, other: str, ids: dict[str, int]) -> Request:
    """Part a secret into two parties' ring arrays; see `tacit.schedule.parts`."""
    fields = {"device": value.device.number, "source": value.id, "masker": masker, "other": other, "ids": ids}
    return ask(value.device.names, "part", fields)


def unite_steps(secret: Secret, parts: dict[str, int], kind: str, bits: int) -> Steps:
    """Make a secret of two parties' ring arrays, which are dropped then. bits: the fraction bits they carry."""
    device = secret.device
    fields = {
        "device": device.number,
        "parts": parts,
        "id": secret.id,
        "shape": list(secret.shape),
        "kind": kind,
        "bits": bits,
    }
    yield ask(device.names, "unite", fields)
    device.executor.drop_later(list(parts.values()))


# --- encrypted values -------------------------------------------------------------------------------------------------


def plain_to_he(value: PlainValue, device: HE, because: str) -> Cipher:  # noqa: ARG001
    """Encrypt a value of the key holder or of an evaluator; see `HE.encrypt`. Reveals: a bound of 2**40, no value."""
    return device.encrypt(value)


def he_to_plain(value: Cipher, device: Plain, gate: Gate) -> PlainValue:
    """Decrypt for the key holder, where the values stay.

    Reveals: the values, to the key holder; with privacy, the values with noise that every evaluator added a share of, and that
    the key holder can take off only together with all honest ones of them.
    Costs: 1 round, 512 bytes per number (Paillier-2048) to it; with privacy, one more round for each further evaluator.
    """
    source = value.device
    if device.party != source.key_holder:
        raise ConfigError(
            f"{source!r} decrypts at {source.key_holder} only. For {device.party}, bring the value to an MPC device and open "
            "it there."
        )
    if source.scheme == "okamoto-uchiyama":
        raise PolicyError(
            f"{source!r} shows no decryptions: of a plaintext that overflowed, one would give the key away. Bring the value to "
            "an MPC device, or use Paillier."
        )
    reveal = {"to": [device.party], "because": gate.because, "line": gate.line}
    if gate.privacy is not None:
        noise_of(gate.privacy, "an HE device")

    def steps() -> Steps:
        draw = None
        if gate.privacy is not None:
            draw = yield from cipher_draw(value, gate.privacy)
        yield from gate.pay(draw)
        here, place = value.id, value.at
        if draw is not None:
            here, place = yield from _noisy_cipher(value, draw)
        octets = source.executor.new_id()
        params = {"ring": value.ring, "reveal": reveal}
        facts = (yield source.request(place, "he.dump", [here], [octets], params))[place][0]
        yield from source.move_steps(place, device.party, octets, facts)
        params = {"header": facts["facts"]["header"], "ring": value.ring, "reveal": reveal}
        yield source.request(device.party, "he.open", [octets], [opened.id], params)
        source.executor.drop_later([octets, here] if draw is not None else [octets])

    task = Task(device, "decrypt", [value], gate.line, steps)
    opened = PlainValue(device, value.shape, value.dtype, node=task, owners=gate.left())
    return opened


def he_to_mpc(value: Cipher, device: MPC, because: str) -> Secret:  # noqa: ARG001
    """Share an encrypted value: the evaluator masks it, the key holder decrypts the masked value, both share their parts.

    Reveals: to the key holder a value masked by 40 more bits than it has (statistical distance 2**-40), no more.
    Costs: 2 rounds, 512 bytes (Paillier-2048) and 16 bytes per number. The values must be below 2**(62 - fraction bits).
    """
    source = value.device
    _needs_additive(source)
    evaluator, holder = value.at, source.key_holder
    for party in (evaluator, holder):
        if party not in device.names:
            raise ConfigError(f"{party} takes no part in {device!r}; key holder and evaluator share the value with it")
    new_id = source.executor.new_id

    def steps() -> Steps:
        octets, ids = new_id(), {evaluator: new_id(), holder: new_id()}
        facts = (yield source.request(evaluator, "he.mask", [value.id], [octets, ids[evaluator]], {}))[evaluator][0]
        yield from source.move_steps(evaluator, holder, octets, facts)
        yield source.request(holder, "he.unmask", [octets], [ids[holder]], {"header": facts["facts"]["header"]})
        source.executor.drop_later([octets])
        kind = "fixed" if value.dtype.kind == "f" else "int"
        yield from unite_steps(shared, ids, kind, facts["facts"]["fraction_bits"])

    kind = np.float32 if value.dtype.kind == "f" else np.int32
    shared = Secret(device, value.shape, kind, node=Task(device, "share cipher", [value], user_line(), steps))
    return shared


def _needs_additive(device: HE) -> None:
    """Masks are uniform integers: packed schemes have no room for them."""
    if device.packed:
        raise UnsupportedOperation(
            f"values of {device!r} go to and from plain devices only. Use scheme='paillier' between HE and MPC or TEE."
        )


def mpc_to_he(value: Secret, device: HE, because: str) -> Cipher:  # noqa: ARG001
    """Encrypt a secret: it is parted, the key holder encrypts its part, the evaluator adds its own.

    Reveals: nothing; each of the two sees a uniformly random part. The ciphertexts hold numbers modulo 2^64: what is
    computed on them must stay below 2**63 in size (scaled by its fraction bits), products with integers included.
    Costs: 3 rounds, 512 bytes (Paillier-2048) and 16 bytes per number (Assisted).
    """
    _needs_additive(device)
    source, kind, holder = value.device, secret_kind(value), device.key_holder
    evaluator = next((party for party in device.evaluators if party in source.names), "")
    if not evaluator or holder not in source.names:
        raise ConfigError(f"key holder and an evaluator of {device!r} must both take part in {source!r}")
    new_id = device.executor.new_id

    def steps() -> Steps:
        ids, octets = {evaluator: new_id(), holder: new_id()}, new_id()
        yield part_request(value, evaluator, holder, ids)
        params = {"kind": kind, "fraction_bits": source.protocol.fraction_bits}
        facts = (yield device.request(holder, "he.encrypt_part", [ids[holder]], [octets], params))[holder][0]
        yield from device.move_steps(holder, evaluator, octets, facts)
        header = {"header": facts["facts"]["header"]}
        yield device.request(evaluator, "he.add_part", [octets, ids[evaluator]], [cipher.id], header)
        device.executor.drop_later([octets, *ids.values()])

    task = Task(device, "encrypt secret", [value], user_line(), steps)
    cipher = Cipher(device, value.shape, VALUE_TYPES[value.dtype.kind], at=evaluator, ring=True, node=task)
    return cipher


# --- enclaves ---------------------------------------------------------------------------------------------------------


def plain_to_tee(value: PlainValue, device: TEE, because: str) -> Sealed:  # noqa: ARG001
    """Seal a party's own value to the enclave, when a result leaves it. Reveals: name, shape and dtype, to the host."""
    return device.seal(value)


def tee_to_plain(value: Sealed, device: Plain, gate: Gate) -> PlainValue:
    """Bring a value out of the enclave, sealed to one party.

    Reveals: the value, to that party. The host sees the job and sizes. Costs: each input once to the host, the value once.
    Raises: NoRoute with privacy, as an exported program has no randomness that nobody knows.
    """
    if gate.privacy is not None:
        raise NoRoute(
            f"{value.device!r} draws no noise: its programs have no randomness that nobody knows. Go by .to(MPC device), then "
            "reveal there with privacy=..."
        )
    (opened,) = value.device.open([value], device.party, gate.because, release_exact=gate.release_exact)
    return opened


def mpc_to_tee(value: Secret, device: TEE, because: str) -> Sealed:  # noqa: ARG001
    """Bring a secret into the enclave: it is parted, two parties seal their parts.

    Reveals: nothing; each of the two sees a uniformly random part. Costs: 2 rounds, 40 bytes per element.
    """
    source, kind = value.device, secret_kind(value)
    able = [party for party in source.names if party in device.parties]
    if len(able) < 2:
        raise ConfigError(f"two parties of {source!r} must have attested {device!r}; {len(able)} have")
    parts = _parted(value, able[0], able[1])
    bits = source.protocol.fraction_bits if kind == "fixed" else None

    def unite(first: Any, second: Any) -> Any:
        whole = jax.lax.bitcast_convert_type(first + second, np.int64)
        return whole if bits is None else whole.astype(np.float64) * 2.0**-bits

    sealed: Sealed = device(unite)(*parts)
    return sealed


def he_to_tee(value: Cipher, device: TEE, because: str) -> Sealed:  # noqa: ARG001
    """Bring an encrypted value into the enclave: masked at the evaluator, decrypted masked at the key holder, both seal.

    Reveals: to the key holder a value masked by 40 more bits than it has. Costs: 512 bytes (Paillier-2048) and 16 per number.
    """
    source = value.device
    _needs_additive(source)
    for party in (value.at, source.key_holder):
        if party not in device.parties:
            raise ConfigError(f"{party} has not attested {device!r}; evaluator and key holder seal the value to it")
    whole = value.dtype.kind != "f"
    octets, mask, other, new_id = [], value.at, source.key_holder, source.executor.new_id

    def steps() -> Steps:
        octets.append(new_id())
        request = source.request(mask, "he.mask", [value.id], [octets[-1], parts[0].id], {"fraction_bits": PART_BITS})
        facts = (yield request)[mask][0]
        yield from source.move_steps(mask, other, octets[-1], facts)
        yield source.request(other, "he.unmask", octets[-1:], [parts[1].id], {"header": facts["facts"]["header"]})
        source.executor.drop_later(octets)

    task = Task(source, "part", [value], user_line(), steps)
    plain = source.executor.plain
    parts = [PlainValue(plain(p), value.shape, np.uint64, node=task, index=i) for i, p in enumerate((mask, other))]

    def unite(first: Any, second: Any) -> Any:
        total = jax.lax.bitcast_convert_type(first + second, np.int64)
        return total if whole else total.astype(np.float64) * 2.0**-PART_BITS

    sealed: Sealed = device(unite)(*parts)
    return sealed


def tee_to_mpc(value: Sealed, device: MPC, because: str) -> Secret:  # noqa: ARG001
    """Share a value that is in the enclave: one party seals random numbers to it, another gets the value less these.

    Reveals: to the second party whether every value fits the ring, and nothing if it does. Costs: the job, 1 round.
    Raises: DomainError of that party, when the result is needed, for a value that does not fit.
    """
    source, bits = value.device, device.protocol.fraction_bits
    able = [party for party in device.names if party in source.parties]
    if len(able) < 2:
        raise ConfigError(f"two parties of {device!r} must have attested {source!r}; {len(able)} have")
    whole = value.dtype.kind in "iub"
    limit = 2.0 ** (VALUE_BITS - (0 if whole else bits))
    mask = _random_part(source.executor.plain(able[0]), value.shape)

    def masked(x: Any, r: Any) -> Any:
        fits = jax.numpy.all(jax.numpy.abs(x.astype(np.float64)) < limit)
        ring = x.astype(np.int64) if whole else jax.numpy.rint(x * 2.0**bits).astype(np.int64)
        return jax.lax.bitcast_convert_type(ring, np.uint64) - r, fits

    types = [(value.shape, np.uint64), ((), np.bool_)]
    part, fits = source.release([value], masked, [mask], {0: able[1], 1: able[1]}, "masked, to be shared", types)
    ids = {able[0]: mask, able[1]: part}

    def steps() -> Steps:
        yield Request("procedure", {able[1]: _check_fields(fits.id)})
        held = {party: handle.id for party, handle in ids.items()}
        fields = {
            "device": device.number,
            "parts": held,
            "id": shared.id,
            "shape": list(value.shape),
            "kind": "int" if whole else "fixed",
            "bits": bits,
        }
        yield ask(device.names, "unite", fields)

    task = Task(device, "share sealed", [mask, part, fits], user_line(), steps)
    shared = Secret(device, value.shape, np.int32 if whole else np.float32, node=task)
    return shared


PART_BITS = 24
"""Fraction bits of an encrypted number on its way into an enclave."""


def _parted(value: Secret, masker: str, other: str) -> list[PlainValue]:
    source = value.device

    def steps() -> Steps:
        yield part_request(value, masker, other, {masker: parts[0].id, other: parts[1].id})

    task = Task(source, "part", [value], user_line(), steps)
    plain = source.executor.plain
    parts = [PlainValue(plain(p), value.shape, np.uint64, node=task, index=i) for i, p in enumerate((masker, other))]
    return parts


def _random_part(device: Plain, shape: tuple[int, ...]) -> PlainValue:
    def steps() -> Steps:
        fields = {"name": "ring.random", "inputs": [], "outputs": [drawn.id], "params": {"shape": list(shape)}}
        yield Request("procedure", {device.party: fields})

    drawn = PlainValue(device, shape, np.uint64, node=Task(device, "random", [], user_line(), steps))
    return drawn


def _check_fields(id: int) -> dict[str, Any]:
    return {"name": "ring.check", "inputs": [id], "outputs": [], "params": {}}


# --- noise ------------------------------------------------------------------------------------------------------------


def secret_draw(values: list[Secret], privacy: Any) -> Drawn:
    """The noise on secrets of one device that are opened together. Raises: InputError."""
    noise, device = noise_of(privacy, "an MPC device"), values[0].device
    kinds = {value.dtype.kind for value in values}
    if kinds & {"b"} or len({kind in "iu" for kind in kinds}) > 1:
        raise InputError(
            "noise is added to reals or to integers: convert truth values with .astype(int), and open reals and integers apart"
        )
    real = "f" in kinds
    size = sum(value.size for value in values)
    return Drawn(noise, "secret", device.protocol.fraction_bits if real else 0, max(size, 1), NOISE_PARTIES, 1, real)


def noise_fields(draw: Drawn | None, device: MPC) -> dict[str, Any]:
    """What a reveal command says of noise: which, and whose words make it."""
    return {} if draw is None else {"noise": {**draw.drawing(), "owners": list(device.names[:NOISE_PARTIES])}}


def cipher_draw(value: Cipher, privacy: Any) -> Generator[Request, Answers, Drawn]:
    """The noise on a ciphertext, on the grid that it has there. Raises: ConfigError for products without an error bound."""
    noise, source = noise_of(privacy, "an HE device"), value.device
    facts = (yield source.request(value.at, "privacy.cipher", [value.id], [], {}))[value.at][0]
    real, bits = value.dtype.kind == "f", facts["facts"]["fraction_bits"]
    if real and bits > FRACTION_BITS and noise.error is None:
        raise ConfigError(
            f"the ciphertext has {bits} fraction bits, more than its factors were rounded to: say error=..., how far its numbers "
            "may lie from the true ones"
        )
    parties = len(source.evaluators)
    honest = noise.honest or 1
    if honest > parties:
        raise ConfigError(f"{honest} of {parties} evaluators cannot be honest")
    return Drawn(noise, "shares", bits if real else 0, max(value.size, 1), parties, honest, real)


def _noisy_cipher(value: Cipher, draw: Drawn) -> Generator[Request, Answers, tuple[int, str]]:
    """Carry a ciphertext round all evaluators, each of which adds its share of the noise; where it is then."""
    source = value.device
    here, place = value.id, value.at
    for party in (value.at, *(party for party in source.evaluators if party != value.at)):
        used = [] if here == value.id else [here]
        if party != place:
            sent = source.executor.new_id()
            yield from source.send_steps(place, party, here, sent)
            used, here, place = [*used, sent], sent, party
        noisy = source.executor.new_id()
        yield source.request(party, "privacy.cipher_noise", [here], [noisy], {"drawing": draw.drawing()})
        source.executor.drop_later(used)
        here = noisy
    return here, place


def _drawn_alone(value: PlainValue, privacy: Any) -> Draw:
    """The noise that the party draws which holds the value. Raises: InputError."""
    real = value.dtype.kind == "f"
    if isinstance(privacy, Mechanism):
        if (made := getattr(privacy, "size", value.size)) != value.size:
            raise InputError(f"the mechanism was made for {made} numbers, and {value!r} has {value.size}")
        return Ready(privacy)
    if value.dtype.kind == "b":
        raise InputError("noise is added to numbers: make integers of truth values first")
    noise = noise_of(privacy, "a party")
    return Drawn(noise, "alone", 0, max(value.size, 1), real=real, default_error=0.0)


def _noisy_type(value: PlainValue, privacy: Any) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Shape and type of what a mechanism releases: an index for a choice, else numbers as they were given."""
    name = getattr(privacy, "name", "")
    if name == "exponential":
        return (), np.dtype(np.int64)
    if name:
        return value.shape, np.dtype(np.float64 if name in ("laplace", "gaussian") else np.int64)
    return value.shape, value.dtype


def _at_once(drawn: Callable[[Any, Any], Draw]) -> Drawer:
    def steps(value: Any, privacy: Any) -> Generator[Request, Answers, Draw]:
        yield from ()
        return drawn(value, privacy)

    return steps


NOISE_PARTIES = 2
"""How many parties' words make the noise in MPC: as many as compute, at most one of which is corrupted."""
DRAWS: dict[type, Drawer] = {
    Plain: _at_once(_drawn_alone),
    MPC: _at_once(lambda value, privacy: secret_draw([value], privacy)),
    HE: cipher_draw,
}
"""How each kind of device would draw noise on a value."""
TRANSFERS: dict[tuple[type, type], Callable[[Any, Any, Any], Handle]] = {
    (Plain, Plain): plain_to_plain,
    (Plain, MPC): plain_to_mpc,
    (Plain, HE): plain_to_he,
    (Plain, TEE): plain_to_tee,
    (MPC, Plain): mpc_to_plain,
    (MPC, MPC): mpc_to_mpc,
    (MPC, HE): mpc_to_he,
    (MPC, TEE): mpc_to_tee,
    (HE, Plain): he_to_plain,
    (HE, MPC): he_to_mpc,
    (HE, TEE): he_to_tee,
    (TEE, Plain): tee_to_plain,
    (TEE, MPC): tee_to_mpc,
}
"""The whole matrix: (from, to) and what is done. What is missing (HE to HE, TEE to HE, TEE to TEE) goes by MPC."""
