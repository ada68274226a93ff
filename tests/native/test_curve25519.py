"""Curve25519: every path equals RFC 7748, RFC 9380, OpenSSL and integer arithmetic, and the other paths octet for octet."""

import hashlib
from contextlib import contextmanager

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from hypothesis import given, settings
from hypothesis import strategies as st

from tacit import _native as native

ISAS = ["portable", "avx2", "avx512"][: 1 + ["portable", "avx2", "avx512"].index(native.best_isa())]
P = 2**255 - 19
J = 486662
L = 2**252 + 27742317777372353535851937790883648493
MASK = 2**255 - 1
LOW_ORDER = [
    0,
    1,
    P - 1,
    325606250916557431795983626356110631294008115727848805560023387167927233504,
    39382357235489614581723060781553021112529911719440698176882885853963445705823,
]
SUITE = b"QUUX-V01-CS02-with-curve25519_XMD:SHA-512_ELL2_NU_"
# RFC 9380, appendix J.4.2: message, u, Q.x, P.x, P.y
SUITE_VECTORS = [
    (
        b"",
        "608d892b641f0328523802a6603427c26e55e6f27e71a91a478148d45b5093cd",
        "51125222da5e763d97f3c10fcc92ea6860b9ccbbd2eb1285728f566721c1e65b",
        "1bb913f0c9daefa0b3375378ffa534bda5526c97391952a7789eb976edfe4d08",
        "4548368f4f983243e747b62a600840ae7c1dab5c723991f85d3a9768479f3ec4",
    ),
    (
        b"abc",
        "46f5b22494bfeaa7f232cc8d054be68561af50230234d7d1d63d1d9abeca8da5",
        "7d56d1e08cb0ccb92baf069c18c49bb5a0dcd927eff8dcf75ca921ef7f3e6eeb",
        "7c22950b7d900fa866334262fcaea47a441a578df43b894b4625c9b450f9a026",
        "5547bc00e4c09685dcbc6cb6765288b386d8bdcb595fa5a6e3969e08097f0541",
    ),
    (
        b"abcdef0123456789",
        "235fe40c443766ce7e18111c33862d66c3b33267efa50d50f9e8e5d252a40aaa",
        "3fbe66b9c9883d79e8407150e7c2a1c8680bee496c62fabe4619a72b3cabe90f",
        "31ad08a8b0deeb2a4d8b0206ca25f567ab4e042746f792f4b7973f3ae2096c52",
        "405070c28e78b4fa269427c82827261991b9718bd6c6e95d627d701a53c30db1",
    ),
    (
        b"q128_" + b"q" * 128,
        "001e92a544463bda9bd04ddbe3d6eed248f82de32f522669efc5ddce95f46f5b",
        "227e0bb89de700385d19ec40e857db6e6a3e634b1c32962f370d26f84ff19683",
        "027877759d155b1997d0d84683a313eb78bdb493271d935b622900459d52ceaa",
        None,
    ),
    (
        b"a512_" + b"a" * 512,
        "1a68a1af9f663592291af987203393f707305c7bac9c8d63d6a729bdc553dc19",
        "3bcd651ee54d5f7b6013898aab251ee8ecc0688166fce6e9548d38472f6bd196",
        "5fd892c0958d1a75f54c3182a18d286efab784e774d1e017ba2fb252998b5dc1",
        None,
    ),
]
# RFC 7748, section 5.2: scalar, u, result
LADDER_VECTORS = [
    (
        "a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4",
        "e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c",
        "c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552",
    ),
    (
        "4b66e9d4d1b4673c5ad22691957d6af5c11b6421e0ea01d42ca4169e7918ba0d",
        "e5210f12786811d3f4b7959d0538ae2c31dbe7106fc03c3efc4cd549c715a493",
        "95cbde9476e8907d7aade45cb4b873f88b595a68799fa152e6f8f7647aac7957",
    ),
]
seeds = st.integers(0, 2**32)


@contextmanager
def using(isa, threads=1):
    before = native.isa(), native.threads()
    native.set_isa(isa)
    native.set_threads(threads)
    try:
        yield
    finally:
        native.set_isa(before[0])
        native.set_threads(before[1])


# --- integers ---------------------------------------------------------------------------------------------------------


def draw(seed, *label):
    return int.from_bytes(hashlib.sha512(f"{seed} {label}".encode()).digest(), "little")


def row(value):
    return np.frombuffer(value.to_bytes(32, "little"), np.uint8)


def rows(values):
    return np.stack([row(v) for v in values]) if len(values) else np.empty((0, 32), np.uint8)


def numbers(array):
    return [int.from_bytes(r.tobytes(), "little") for r in array]


def clamp(k):
    return (k & (2**254 - 8)) | 2**254


def root(a):
    """The even square root modulo p, or None."""
    r = pow(a, (P + 3) // 8, P)
    if r * r % P != a % P:
        r = r * pow(2, (P - 1) // 4, P) % P
    return None if r * r % P != a % P else min(r, P - r, key=lambda v: v & 1)


def v_of(u, odd):
    v = root(u**3 + J * u * u + u)
    return None if v is None else (v if v & 1 == odd else (P - v) % P)


def plus(a, b):
    """Addition on the Montgomery curve; None is the point at infinity."""
    if a is None or b is None:
        return b if a is None else a
    (x1, y1), (x2, y2) = a, b
    if x1 == x2:
        if (y1 + y2) % P == 0:
            return None
        slope = (3 * x1 * x1 + 2 * J * x1 + 1) * pow(2 * y1, -1, P)
    else:
        slope = (y2 - y1) * pow(x2 - x1, -1, P)
    x3 = (slope * slope - J - x1 - x2) % P
    return x3, (slope * (x1 - x3) - y1) % P


def times(k, point):
    total = None
    for bit in f"{k:b}":
        total = plus(total, total)
        if bit == "1":
            total = plus(total, point)
    return total


def elligator(e):
    """RFC 9380, section 6.7.1."""
    x1 = -J * pow(1 + 2 * e * e, -1, P) % P
    v = v_of(x1, 1)
    return (x1, v) if v is not None else ((-x1 - J) % P, v_of((-x1 - J) % P, 0))


def pack(point):
    return 0 if point is None else point[0] | (point[1] & 1) << 255


def some_point(seed, *label):
    return elligator(draw(seed, "point", *label) % P)


def table_of(point):
    table = np.empty(native.CURVE25519_TABLE_WORDS, np.uint64)
    assert native.curve25519_table(row(pack(point)).copy(), table)
    return table


# --- tests ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("isa", ISAS)
def test_ladder_gives_the_vectors_of_rfc_7748(isa):
    scalars, points, wanted = (
        np.array([list(bytes.fromhex(v[i])) for v in LADDER_VECTORS], np.uint8) for i in range(3)
    )
    scalars[:, 0] &= 248
    scalars[:, 31] = (scalars[:, 31] & 127) | 64
    out = np.empty_like(points)
    with using(isa):
        assert native.curve25519_multiply(scalars, points, out) == -1
        assert np.array_equal(out, wanted)
        k = u = row(9).reshape(1, 32).copy()
        for turn in range(1, 1001):
            clamped = rows([clamp(numbers(k)[0])])
            result = np.empty_like(u)
            native.curve25519_multiply(clamped, u, result)
            k, u = result, k
            if turn == 1:
                assert k.tobytes().hex() == "422c8e7a6227d7bca1350b3e2bb7279f7897b87bb6854b783c60e80311ae3079"
        assert k.tobytes().hex() == "684cf59ba83309552800ef566f2f4d3c1c3887c49360e3875f2eb94d99532c51"


@given(seed=seeds, count=st.integers(1, 21), shared=st.booleans())
def test_ladder_equals_openssl_on_every_path(seed, count, shared):
    scalars = rows([clamp(draw(seed, "k", i)) for i in range(1 if shared else count)])
    points = rows([draw(seed, "u", i) % 2**256 for i in range(count)])  # on the curve, on its twist, and not canonical
    wanted = [
        X25519PrivateKey.from_private_bytes(scalars[i % len(scalars)].tobytes()).exchange(
            X25519PublicKey.from_public_bytes(points[i].tobytes())
        )
        for i in range(count)
    ]
    for isa in ISAS:
        out = np.empty_like(points)
        with using(isa):
            assert native.curve25519_multiply(scalars, points, out) == -1
        assert [r.tobytes() for r in out] == wanted


@given(seed=seeds, exponent=st.integers(0, 255))
@settings(max_examples=30)
def test_ladder_takes_unclamped_scalars_as_they_are(seed, exponent):
    k = [draw(seed, "k") % 2**exponent, 8, 1, 0, L][seed % 5]
    point = times(8, some_point(seed))
    wanted = times(k, point)
    for isa in ISAS:
        out = np.empty((1, 32), np.uint8)
        with using(isa):
            refused = native.curve25519_multiply(rows([k]), rows([point[0]]), out)
        assert numbers(out) == [0 if wanted is None else wanted[0]]
        assert refused == (0 if wanted is None else -1)


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("at", [0, 7, 8, 12])
def test_points_of_low_order_are_found(isa, at):
    for low in [*LOW_ORDER, *(v + P for v in LOW_ORDER if v + P < 2**255)]:
        points = rows([9] * 13)
        points[at] = row(low)
        out = np.empty_like(points)
        with using(isa):
            assert native.curve25519_multiply(rows([clamp(draw(1, "k"))]), points, out) == at
            assert not out[at].any()
            assert out[np.arange(13) != at].any(axis=1).all()
            assert native.curve25519_evaluate(row(clamp(5)).copy(), points, out) == at


@pytest.mark.parametrize("isa", ISAS)
def test_hash_and_encode_give_the_vectors_of_rfc_9380(isa):
    messages = [v[0] for v in SUITE_VECTORS]
    octets = np.frombuffer(b"".join(messages), np.uint8)
    offsets = np.cumsum([0, *map(len, messages)]).astype(np.int64)
    field = np.empty((len(messages), 32), np.uint8)
    encoded, points, v = (np.empty_like(field) for _ in range(3))
    with using(isa):
        native.curve25519_hash(octets, offsets, SUITE, field)
        native.curve25519_encode(field, encoded)
        native.curve25519_blind(field, np.zeros_like(field), table_of((9, v_of(9, 0))), points, v)
    assert numbers(field) == [int(v[1], 16) for v in SUITE_VECTORS]
    assert numbers(encoded) == [int(v[3], 16) for v in SUITE_VECTORS]
    for point, own_v, (_, e, q, x, y) in zip(numbers(points), numbers(v), SUITE_VECTORS, strict=True):
        assert point == int(x, 16)
        assert y is None or own_v == int(y, 16)
        assert elligator(int(e, 16))[0] == int(q, 16)  # the reference of the tests below is the standard's


def expand(message, domain):
    """expand_message_xmd of RFC 9380, section 5.3.1, to 48 octets."""
    tag = domain + bytes([len(domain)])
    first = hashlib.sha512(bytes(128) + message + b"\x00\x30\x00" + tag).digest()
    return hashlib.sha512(first + b"\x01" + tag).digest()[:48]


@given(
    messages=st.lists(st.binary(max_size=300), max_size=20),
    domain=st.binary(min_size=1, max_size=255),
)
def test_hash_takes_messages_of_any_lengths_side_by_side(messages, domain):
    octets = np.frombuffer(b"".join(messages), np.uint8)
    offsets = np.cumsum([0, *map(len, messages)]).astype(np.int64)
    wanted = [int.from_bytes(expand(m, domain), "big") % P for m in messages]
    for isa in ISAS:
        out = np.empty((len(messages), 32), np.uint8)
        with using(isa):
            native.curve25519_hash(octets, offsets, domain, out)
        assert numbers(out) == wanted


@given(seed=seeds, count=st.integers(1, 18))
@settings(max_examples=20)
def test_encode_is_eight_times_elligator_2(seed, count):
    values = [draw(seed, "e", i) % P for i in range(count)]
    values[:4] = [0, 1, P - 1, (P - 1) // 2][:count]
    wanted = [times(8, elligator(e)) for e in values]
    for isa in ISAS:
        out = np.empty((count, 32), np.uint8)
        with using(isa):
            native.curve25519_encode(rows(values), out)
        assert numbers(out) == [0 if point is None else point[0] for point in wanted]


@given(seed=seeds, count=st.integers(1, 11))
@settings(max_examples=10)
def test_blind_evaluate_unblind_equal_integer_arithmetic(seed, count):
    base, other = times(8, some_point(seed, "base")), times(8, some_point(seed, "other"))
    values = [draw(seed, "e", i) % P for i in range(count)]
    scalars = [draw(seed, "s", i) % 2**252 for i in range(count)]
    scalars[: min(4, count)] = [0, 2**252 - 1, 32, sum(31 << (6 * i) for i in range(42))][:count]
    k = clamp(draw(seed, "k"))
    blinded = [plus(times(8, elligator(e)), times(s, base)) for e, s in zip(values, scalars, strict=True)]
    evaluated = [times(k, p) for p in blinded]
    opened = [plus(p, times(s, other)) for p, s in zip(evaluated, scalars, strict=True)]
    for isa in ISAS:
        u, v, answer, out = (np.empty((count, 32), np.uint8) for _ in range(4))
        with using(isa):
            native.curve25519_blind(rows(values), rows(scalars), table_of(base), u, v)
            assert list(zip(numbers(u), numbers(v), strict=True)) == blinded
            assert native.curve25519_evaluate(row(k).copy(), u, answer) == -1
            assert numbers(answer) == [
                q[0] | (q[1] * p[1] % P & 1) << 255 for p, q in zip(blinded, evaluated, strict=True)
            ]
            assert native.curve25519_unblind(answer, v, rows(scalars), table_of(other), out) == -1
            assert numbers(out) == [p[0] for p in opened]


@pytest.mark.parametrize("isa", ISAS)
def test_points_off_the_curve_are_found(isa):
    off = next(u for u in range(2, 99) if v_of(u, 0) is None)
    table = table_of((9, v_of(9, 0)))
    points, out = rows([9, 9, off, 9]), np.empty((4, 32), np.uint8)
    with using(isa):
        assert native.curve25519_unblind(points, rows([1] * 4), rows([3] * 4), table, out) == 2
        assert not out[2].any()


@pytest.mark.parametrize("isa", ISAS)
def test_evaluate_takes_points_of_the_twist_as_multiply_does(isa):
    points = rows([draw(5, i) % P for i in range(20)])
    key = rows([clamp(draw(5, "k"))])
    out, same = np.empty_like(points), np.empty_like(points)
    with using(isa):
        assert native.curve25519_evaluate(key[0].copy(), points, out) == -1
        native.curve25519_multiply(key, points, same)
    assert [n & MASK for n in numbers(out)] == numbers(same)


@pytest.mark.parametrize("u", [*LOW_ORDER, next(u for u in range(2, 99) if v_of(u, 0) is None)])
def test_no_table_for_points_of_low_order_or_off_the_curve(u):
    assert not native.curve25519_table(row(u).copy(), np.empty(native.CURVE25519_TABLE_WORDS, np.uint64))


def test_threads_give_the_same_octets():
    count = 3000
    field = rows([draw(0, i) % P for i in range(count)])
    key, table = rows([clamp(draw(0, "k"))]), table_of((9, v_of(9, 0)))
    seen = []
    for threads in (1, 2, 3):
        out = [np.empty_like(field) for _ in range(5)]
        with using(native.best_isa(), threads):
            native.curve25519_encode(field, out[0])
            native.curve25519_multiply(key, out[0], out[1])
            native.curve25519_blind(field, field, table, out[2], out[4])
            native.curve25519_evaluate(key[0].copy(), out[2], out[3])
        seen.append([o.tobytes() for o in out])
    assert seen[0] == seen[1] == seen[2]


@pytest.mark.parametrize(
    ("call", "cause"),
    [
        (lambda a, b, o: native.curve25519_multiply(a[:2], b, o), "scalars has shape"),
        (lambda a, b, o: native.curve25519_multiply(a, b, o[:1]), "out has shape"),
        (lambda a, b, o: native.curve25519_multiply(a, b, b), "overlaps"),
        (lambda a, b, o: native.curve25519_encode(a[:, :31].copy(), o), "shape"),
        (lambda a, b, o: native.curve25519_hash(a.reshape(-1), np.array([0, 5, 3, 9], np.int64), b"d", o), "offsets"),
        (lambda a, b, o: native.curve25519_hash(a.reshape(-1), np.array([0, 5, 8, 97], np.int64), b"d", o), "offsets"),
        (lambda a, b, o: native.curve25519_hash(a.reshape(-1), np.array([0, 5, 8, 96], np.int64), b"", o), "domain"),
        (lambda a, b, o: native.curve25519_blind(a, b, np.zeros(5, np.uint64), o, o.copy()), "table has shape"),
    ],
)
def test_wrong_shapes_are_refused(call, cause):
    a, b, o = rows([9] * 3), rows([9] * 3), rows([9] * 3)
    with pytest.raises(ValueError, match=cause):
        call(a, b, o)
