"""The `HE` device: one party holds a key, others compute on what is encrypted under it.

`Cipher` handles have NumPy's operators; every operation is a node of the graph and runs at the evaluator that holds the
ciphertexts. Additive schemes add and subtract ciphertexts and multiply them by numbers in the clear, also by an evaluator's own
private numbers. Packed schemes (CKKS for real numbers, BFV for integers) multiply ciphertexts too, a stated number of times.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from typing import Any, Literal, TypeAlias, final

import numpy as np

from tacit.device.caller import user_line
from tacit.device.executor import Answers, Executor, Request, Steps
from tacit.device.handle import Device, Handle, Task
from tacit.device.plain import PlainValue, as_array
from tacit.foundation.errors import ConfigError, InputError, SecrecyError, ShapeError, UnsupportedOperation

Scheme: TypeAlias = Literal["paillier", "okamoto-uchiyama", "ec-elgamal", "ckks", "bfv"]
PACKED = ("ckks", "bfv")
FRACTION_BITS = 24


@final
class HE(Device):
    """A key holder and the evaluators that compute under its public key.

    Threat model: semi-honest; the key holder and an evaluator must not collude. Evaluators see public facts of ciphertexts
    (shape, dtype, fraction bits, bound). The key holder sees what is decrypted, and nothing else.

    scheme: "paillier"; "okamoto-uchiyama", faster, from whose decryptions an evaluator could learn the key if it saw one of a
    plaintext that overflowed, so it decrypts to shares on MPC only; "ec-elgamal" for small integers; "ckks" and "bfv" as in
    `tacit.primitive.he.packed`, whose values leave for the key holder only. CKKS: nobody else may see what it decrypted.
    options: of the scheme's keys: `bits` of Paillier and Okamoto-Uchiyama; `levels`, `scale_bits`, ... of CKKS;
    `multiplications`, `plain_bits`, ... of BFV.
    """

    kind = "he"

    def __init__(
        self, executor: Executor, key_holder: str, evaluators: Sequence[str], scheme: Scheme, options: Mapping[str, int]
    ) -> None:
        if key_holder in evaluators or not evaluators:
            raise ConfigError("an HE device has a key holder and at least one other party that evaluates")
        self.executor = executor
        self.key_holder = key_holder
        self.evaluators = tuple(evaluators)
        self.scheme = scheme
        self.packed = scheme in PACKED
        self.names = (key_holder, *self.evaluators)
        self.sees = f"encrypted under {key_holder}'s key"
        self.number = executor.new_id()
        executor.perform(self._keys(dict(options)))

    def _keys(self, options: Mapping[str, int]) -> Generator[Request, Answers, None]:
        """Make the key pair, and bring its public part to every evaluator."""
        octets = [self.executor.new_id()]
        params: dict[str, Any] = {"scheme": self.scheme, "options": options}
        made = (yield self.request(self.key_holder, "he.generate", [], octets, params))[self.key_holder][0]
        params = {"scheme": self.scheme, "public": made["facts"]}
        for party in self.evaluators:
            if self.packed:
                yield from self.move_steps(self.key_holder, party, octets[0], made)
            yield self.request(party, "he.learn", octets if self.packed else [], [], params)
        self.executor.drop_later(octets)

    def __repr__(self) -> str:
        return f"HE({self.scheme}: key of {self.key_holder}, computed by {', '.join(self.evaluators)})"

    def request(
        self,
        party: str,
        name: str,
        inputs: Sequence[int],
        outputs: Sequence[int],
        params: Mapping[str, Any],
        blobs: Sequence[np.ndarray] = (),
    ) -> Request:
        """A procedure of this device at one party."""
        fields = {
            "name": name,
            "inputs": list(inputs),
            "outputs": list(outputs),
            "params": {"device": self.number, **params},
        }
        return Request("procedure", {party: fields}, blobs)

    def encrypt(
        self, value: PlainValue, *, magnitude: float | None = None, fraction_bits: int = FRACTION_BITS
    ) -> Cipher:
        """Encrypt a plain value of the key holder or of an evaluator.

        The ciphertexts are then at an evaluator: at the owner if it is one, else at the first. magnitude: a public bound of
        the values, 2**40 by default; how much can be computed before the plaintexts are full depends on it.
        Reveals: the declared magnitude. Costs: from the key holder 512 bytes per number (Paillier-2048); else nothing moves.
        """
        owner = value.device.party
        if owner not in self.names:
            raise ConfigError(f"{owner} takes no part in {self!r} and cannot encrypt for it")
        if self.packed and magnitude is None:
            raise InputError(
                f"{self.scheme} needs a public bound of the values: he.encrypt(x, magnitude=...). All that can be computed on them "
                "follows from it."
            )
        at = owner if owner in self.evaluators else self.evaluators[0]

        def steps() -> Steps:
            params = {"fraction_bits": fraction_bits, "magnitude": magnitude}
            made = cipher.id if at == owner else self.executor.new_id()
            yield self.request(owner, "he.encrypt", [value.id], [made], params)
            if at != owner:
                yield from self.send_steps(owner, at, made, cipher.id)
                self.executor.drop_later([made])

        whole = value.dtype.kind in "iub"
        detail = {"magnitude": magnitude, "fraction_bits": fraction_bits}
        task = Task(self, "encrypt", [value], user_line(), steps, detail)
        cipher = Cipher(self, value.shape, np.int64 if whole else np.float64, at=at, node=task)
        return cipher

    def send_steps(self, sender: str, receiver: str, source: int, id: int) -> Steps:
        """Bring a ciphertext to another party, randomised on the way out and checked on the way in."""
        octets = self.executor.new_id()
        facts = yield from self._dumped(sender, source, octets, "he.dump", {"ring": False, "reveal": None})
        yield from self.move_steps(sender, receiver, octets, facts)
        yield self.request(receiver, "he.load", [octets], [id], {"header": facts["facts"]["header"]})
        self.executor.drop_later([octets])

    def _dumped(self, party: str, source: int, octets: int, name: str, params: Mapping[str, Any]) -> Any:
        answers: Answers = yield self.request(party, name, [source], [octets], params)
        return answers[party][0]

    def move_steps(self, sender: str, receiver: str, id: int, facts: Mapping[str, Any], place: int = 0) -> Steps:
        """Move the byte array that result `place` of a procedure described."""
        shape, dtype = facts["shapes"][place]
        fields = {"sender": sender, "receiver": receiver, "source": id, "id": id, "shape": shape, "dtype": dtype}
        yield Request("move", {sender: fields, receiver: fields})

    def apply(
        self,
        operation: str,
        operands: Sequence[Any],
        params: Mapping[str, Any],
        shaped: Callable[..., Any],
    ) -> Cipher:
        """Note an operation. Operands: ciphers and plain values of one evaluator, public arrays. shaped: the same in NumPy."""
        leaves = [x if isinstance(x, Handle) else as_array(x) for x in operands]
        ciphers = [x for x in leaves if isinstance(x, Cipher)]
        at = ciphers[0].at
        for leaf in leaves:
            if isinstance(leaf, Cipher) and (leaf.device is not self or leaf.at != at):
                raise InputError(f"{leaf!r} is not with {ciphers[0]!r}; bring it there with x.send({at!r})")
            if isinstance(leaf, Handle) and not isinstance(leaf, Cipher) and leaf.device.names != (at,):
                raise InputError(f"{leaf!r} is not at {at}, where {ciphers[0]!r} is computed on")
        shape, dtype = _result(shaped, leaves)
        handles = [x for x in leaves if isinstance(x, Handle)]
        public = [x for x in leaves if isinstance(x, np.ndarray)]
        fields = {
            "operation": operation,
            "operands": ["value" if isinstance(x, Handle) else "blob" for x in leaves],
            "params": dict(params),
        }

        def steps() -> Steps:
            yield self.request(at, "he.apply", [x.id for x in handles], [cipher.id], fields, public)

        task = Task(self, operation, handles, user_line(), steps, {"params": dict(params)})
        ring = any(cipher.ring for cipher in ciphers)
        cipher = Cipher(self, shape, dtype, at=at, ring=ring, node=task)
        return cipher

    def concatenate(self, ciphers: Sequence[Cipher], axis: int = 0) -> Cipher:
        """Join ciphers of one evaluator along an axis."""
        return self.apply("concatenate", list(ciphers), {"axis": axis}, lambda *xs: np.concatenate(xs, axis))

    def feature_wise_bucket_sum(self, cipher: Cipher, buckets: Any, count: int, *, rows: Any = None) -> Cipher:
        """out[f, b] = sum of cipher[i] over the samples i with buckets[i, f] == b: what gradient boosting needs.

        buckets: integers [n, features], -1 for a sample that counts nowhere: the evaluator's own plain value, or public.
        """
        shape = (buckets.shape[1], count, *cipher.shape[1:])
        operands = [cipher, buckets] if rows is None else [cipher, buckets, rows]
        return self.apply("bucket_sum", operands, {"count": count}, lambda a, *_: np.zeros(shape, a.dtype))


class Cipher(Handle):
    """Ciphertexts under the key of an HE device, held by the evaluator `at`. ring: they are numbers modulo 2^64."""

    __slots__ = ("at", "ring")
    __array_ufunc__ = None  # so that `ndarray + cipher` comes to this class
    device: HE

    def __init__(
        self, device: HE, shape: Sequence[int], dtype: Any, *, at: str, ring: bool = False, node: Task | None = None
    ) -> None:
        super().__init__(device, shape, dtype, node=node)
        self.at = at
        self.ring = ring

    def __repr__(self) -> str:
        return f"Cipher({self.dtype}{list(self.shape)} at {self.at}, key of {self.device.key_holder})"

    def __bool__(self) -> bool:
        raise SecrecyError("a ciphertext has no truth value: its key holder decrypts it, or it is compared on MPC")

    def send(self, party: str) -> Cipher:
        """The same values at another evaluator. Reveals: nothing. Costs: 512 bytes per number (Paillier-2048)."""
        if party == self.at:
            return self
        if party not in self.device.evaluators:
            raise ConfigError(f"{party} does not evaluate for {self.device!r}")

        def steps() -> Steps:
            yield from self.device.send_steps(self.at, party, self.id, sent.id)

        task = Task(self.device, "send", [self], user_line(), steps)
        sent = Cipher(self.device, self.shape, self.dtype, at=party, ring=self.ring, node=task)
        return sent

    def __add__(self, other: Any) -> Cipher:
        return self.device.apply("add", [self, other], {}, np.add)

    __radd__ = __add__

    def __sub__(self, other: Any) -> Cipher:
        return self.device.apply("sub", [self, other], {}, np.subtract)

    def __rsub__(self, other: Any) -> Cipher:
        return (-self) + other

    def __neg__(self) -> Cipher:
        return self.device.apply("neg", [self], {}, np.negative)

    def __mul__(self, other: Any) -> Cipher:
        return self.multiply(other)

    __rmul__ = __mul__

    def __matmul__(self, other: Any) -> Cipher:
        return self.matmul(other)

    def __rmatmul__(self, other: Any) -> Cipher:
        return self.matmul(other, left=True)

    def multiply(self, other: Any, *, magnitude: float | None = None, fraction_bits: int = FRACTION_BITS) -> Cipher:
        """The product with numbers in the clear: public, or the evaluator's own.

        magnitude: a public bound of the numbers; without it, the power of two above the largest, which whoever gets the
        result then learns. fraction_bits: of real numbers; a product has those of both factors.
        """
        if isinstance(other, Cipher) and not self.device.packed:
            raise UnsupportedOperation(
                f"{self.device!r} cannot multiply two ciphertexts. Use scheme='ckks' or 'bfv', or bring both to an MPC device."
            )
        params = {"magnitude": magnitude, "fraction_bits": fraction_bits}
        return self.device.apply("mul", [self, other], params, np.multiply)

    def matmul(
        self, other: Any, *, left: bool = False, magnitude: float | None = None, fraction_bits: int = FRACTION_BITS
    ) -> Cipher:
        """The matrix product with numbers in the clear, on the right, or on the left. See `multiply`."""
        params = {"magnitude": magnitude, "fraction_bits": fraction_bits}
        operands = [other, self] if left else [self, other]
        return self.device.apply("matmul", operands, params, np.matmul)

    def sum(self, axis: int | None = None) -> Cipher:
        """The sum along one axis, or of all."""
        return self.device.apply("sum", [self], {"axis": axis}, lambda a: np.sum(a, axis))

    def mean(self, axis: int | None = None) -> Cipher:
        """The mean along one axis, or of all; packed schemes only."""
        self._needs_packing("mean")
        return self.device.apply("mean", [self], {"axis": axis}, lambda a: np.mean(a, axis))

    def dot(self, other: Any) -> Cipher:
        """The sum of products with another vector, encrypted or in the clear; packed schemes only."""
        self._needs_packing("dot")
        return self.device.apply("dot", [self, other], {}, lambda a, b: np.sum(a * b))

    def polynomial(self, coefficients: Sequence[float]) -> Cipher:
        """c[0] + c[1] x + c[2] x**2 + ... of every element; packed schemes only, refused where the levels do not suffice."""
        self._needs_packing("polynomial")
        given = [float(c) if self.dtype.kind == "f" else int(c) for c in coefficients]
        return self.device.apply("polynomial", [self], {"coefficients": given}, lambda a: a)

    def _needs_packing(self, what: str) -> None:
        if not self.device.packed:
            raise UnsupportedOperation(
                f"{what} multiplies ciphertexts, or divides them, which {self.device!r} cannot. Use scheme='ckks' or 'bfv'."
            )

    def __getitem__(self, key: Any) -> Cipher:
        items, arrays = _described(key)
        return self.device.apply("index", [self, *arrays], {"key": items}, lambda a, *_: a[key])

    def take(self, indices: Any, axis: int = 0) -> Cipher:
        """Elements at public indices along an axis."""
        chosen = np.asarray(indices, np.int64)
        return self.device.apply("take", [self, chosen], {"axis": axis}, lambda a, _: np.take(a, chosen, axis))

    def reshape(self, *shape: Any) -> Cipher:
        """The same ciphertexts in another shape."""
        wanted = shape[0] if len(shape) == 1 and not isinstance(shape[0], int) else shape
        return self.device.apply("reshape", [self], {"shape": list(wanted)}, lambda a: np.reshape(a, wanted))

    def transpose(self, *axes: int) -> Cipher:
        """The axes in another order, by default reversed."""
        return self.device.apply("transpose", [self], {"axes": list(axes)}, lambda a: np.transpose(a, axes or None))

    @property
    def T(self) -> Cipher:  # noqa: N802  NumPy's name
        """The axes reversed."""
        return self.transpose()


def _result(shaped: Callable[..., Any], leaves: Sequence[Any]) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Shape and dtype of a result, found on zeros that take no memory."""
    zeros = [np.broadcast_to(np.zeros((), _numeric(x.dtype)), x.shape) for x in leaves]
    try:
        if shaped is np.matmul:
            return _matmul_shape(*zeros), np.result_type(*zeros)
        result = shaped(*zeros)
    except (ValueError, IndexError, TypeError) as error:
        raise ShapeError(str(error)) from None
    return result.shape, result.dtype


def _matmul_shape(a: np.ndarray, b: np.ndarray) -> tuple[int, ...]:
    if a.ndim not in (1, 2) or b.ndim not in (1, 2) or a.shape[-1] != b.shape[0]:
        raise ShapeError(f"shapes {a.shape} and {b.shape} do not fit for a matrix product of 1 or 2 axes each")
    return a.shape[:-1] + b.shape[1:]


def _numeric(dtype: np.dtype[Any]) -> np.dtype[Any]:
    if dtype.kind not in "biuf":
        raise UnsupportedOperation(f"ciphertexts do not combine with {dtype}")
    return np.dtype(np.float64 if dtype.kind == "f" else np.int64)


def _described(key: Any) -> tuple[list[Any], list[np.ndarray]]:
    """An index as JSON, with its arrays apart."""
    items: list[Any] = []
    arrays: list[np.ndarray] = []
    for item in key if isinstance(key, tuple) else (key,):
        if isinstance(item, slice):
            items.append([None if x is None else int(x) for x in (item.start, item.stop, item.step)])
        elif item is Ellipsis:
            items.append("...")
        elif item is None or isinstance(item, (int, np.integer)):
            items.append(None if item is None else int(item))
        elif isinstance(item, (list, np.ndarray)):
            items.append("array")
            arrays.append(np.asarray(item))
        else:
            raise InputError(f"a ciphertext cannot be indexed by {type(item).__name__}; use numbers, slices or arrays")
    return items, arrays
