"""Private joins against Arrow's own: every kind of join, key and file, and what cannot be joined."""

import datetime as dt
import re
import threading

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import csv, parquet

from tacit.algorithm.psi import Source, keys, psi, psi_all
from tacit.algorithm.psi.intersection import align_all
from tacit.foundation.errors import (
    ConfigError,
    DuplicateIdentifier,
    KeyTypeRefused,
    NullKey,
    TermsDiffer,
    UnknownColumn,
    UnreadableFile,
)


def plain_join(left, right, how):
    """Pairs of row numbers as SQL has them: nulls match nothing."""
    left = [None if None in key else key for key in left]
    right = [None if None in key else key for key in right]
    pairs = [(i, j) for i, a in enumerate(left) for j, b in enumerate(right) if a is not None and a == b]
    if how in {"left", "full"}:
        pairs += [(i, -1) for i, a in enumerate(left) if a is None or a not in right]
    if how in {"right", "full"}:
        pairs += [(-1, j) for j, b in enumerate(right) if b is None or b not in left]
    return sorted(pairs)


cells = st.one_of(st.none(), st.sampled_from(["", "a", "b", "ab", "é", "00", "0"]))
numbers = st.one_of(st.none(), st.integers(-2, 2))
tables = st.lists(st.tuples(cells, numbers), max_size=12)


def table(rows):
    return pa.table(
        {"name": pa.array([r[0] for r in rows], pa.string()), "year": pa.array([r[1] for r in rows], pa.int32())}
    )


@given(left=tables, right=tables, how=st.sampled_from(["inner", "left", "right", "full"]))
@settings(max_examples=25)
def test_joins_multiply_as_sql_does(left, right, how):
    found = psi(table(left), table(right), keys=["name", "year"], how=how, nulls="exclude")
    assert len(found.left.rows) == len(found.right.rows)
    assert sorted(zip(found.left.rows, found.right.rows, strict=True)) == plain_join(left, right, how)
    assert found.left.pairs == found.right.pairs == len(plain_join(left, right, "inner"))
    common = {r for r in left if None not in r} & {r for r in right if None not in r}
    assert found.size == len(common)


@given(left=tables, right=tables, side=st.sampled_from(["left", "right"]), choice=st.integers(0, 2))
@settings(max_examples=20)
def test_one_side_alone_learns_its_own_rows_each_once(left, right, side, choice):
    how = {"left": ["inner", "left", "anti"], "right": ["inner", "right", "inner"]}[side][choice]
    found = psi(table(left), table(right), keys=["name", "year"], how=how, reveal_to=side, nulls="exclude")
    mine, other = (left, right) if side == "left" else (right, left)
    got, silent = (found.left, found.right) if side == "left" else (found.right, found.left)
    matched = [i for i, row in enumerate(mine) if None not in row and row in other]
    rest = [i for i in range(len(mine)) if i not in matched]
    wanted = {"inner": matched, "anti": rest}.get(how, matched + rest)
    assert sorted(got.rows) == sorted(wanted)
    assert (silent.rows, silent.size, silent.pairs) == (None, None, None)


@pytest.mark.parametrize("reveal_to", ["left", "right", "both"])
def test_cardinality_alone(reveal_to):
    left, right = table([("a", 1), ("a", 1), ("b", 2), ("c", 3)]), table([("c", 3), ("a", 1), ("z", 0)])
    found = psi(left, right, keys=["name", "year"], cardinality_only=True, reveal_to=reveal_to)
    assert found.left.size == (2 if reveal_to != "right" else None)
    assert found.right.size == (2 if reveal_to != "left" else None)
    assert found.left.rows is found.right.rows is None


def test_take_makes_the_rows_of_the_result():
    left, right = table([("a", 1), ("b", 2)]), table([("b", 2), ("b", 2), ("q", 9)])
    found = psi(left, right, keys=["name", "year"], how="full")
    mine, theirs = found.left.take(left).to_pylist(), found.right.take(right).to_pylist()
    assert mine[:2] == theirs[:2] == [{"name": "b", "year": 2}] * 2
    assert mine[2:] == [{"name": "a", "year": 1}, {"name": None, "year": None}]
    assert theirs[2:] == [{"name": None, "year": None}, {"name": "q", "year": 9}]


def test_files_of_every_kind_join_with_each_other(tmp_path):
    ids = [f"user,{i}" if i % 3 else f"0{i}" for i in range(300)]
    left, right = pa.table({"id": ids[:200], "v": range(200)}), pa.table({"id": ids[100:], "w": range(200)})
    csv.write_csv(left, tmp_path / "left.csv")
    with pa.output_stream(str(tmp_path / "left.csv.gz"), compression="gzip") as packed:
        csv.write_csv(left, packed)
    parquet.write_table(right, tmp_path / "right.parquet", row_group_size=37)
    for mine in (left, tmp_path / "left.csv", str(tmp_path / "left.csv.gz")):
        found = psi(mine, tmp_path / "right.parquet", keys=["id"])
        assert [ids[i] for i in found.left.rows] == [ids[100 + j] for j in found.right.rows]
        assert found.size == 100


@pytest.mark.parametrize(
    "pair",
    [
        (pa.array([1, 2, 3], pa.int8()), pa.array([3, 2, 9], pa.int64())),
        (pa.array([2**63, 2, 3], pa.uint64()), pa.array([3, 2, 9], pa.uint16())),
        (pa.array(["a", "b", "c"]), pa.array(["c", "b", "x"], pa.large_string())),
        (pa.array(["a", "b", "c"]).dictionary_encode(), pa.array(["c", "b", "x"], pa.string_view())),
        (pa.array([b"a", b"\0", b""]), pa.array([b"", b"\0", b"y"], pa.large_binary())),
        (pa.array([False, True, None]), pa.array([True, False, None])),
        (
            pa.array([dt.date(2000, 1, d) for d in (1, 2, 3)]),
            pa.array([dt.date(2000, 1, d) for d in (3, 2, 9)], pa.date64()),
        ),
        (pa.array([1, 2, 3], pa.timestamp("s")), pa.array([3000, 2000, 2500], pa.timestamp("ms"))),
        (pa.array([1, 2, 3], pa.timestamp("s", "UTC")), pa.array([3, 2, 9], pa.timestamp("s", "Europe/Rome"))),
    ],
)
def test_keys_of_one_kind_match_whatever_their_width(pair):
    left, right = (pa.table({"k": column}) for column in pair)
    found = psi(left, right, keys=["k"], nulls="exclude")
    assert found.size == 2


def test_nothing_matches_across_cells_or_by_chance():
    left = pa.table({"a": ["ab", "", "x"], "b": ["c", "abc", "y"]})
    right = pa.table({"a": ["a", "abc", "x"], "b": ["bc", "", "y"]})
    assert psi(left, right, keys=["a", "b"]).size == 1
    assert psi(left, right, keys=["a", "b"], right_keys=["b", "a"]).size == 1  # ("", "abc")


@given(rows=st.lists(st.tuples(st.binary(max_size=4), st.integers(-(2**63), 2**63 - 1)), unique=True, max_size=20))
def test_identifiers_are_injective(rows):
    batch = pa.record_batch(
        {"a": pa.array([r[0] for r in rows], pa.binary()), "b": pa.array([r[1] for r in rows], pa.int64())}
    )
    octets, offsets, at = keys.identifiers(batch, ("a", "b"), "refuse")
    seen = {octets[offsets[i] : offsets[i + 1]].tobytes() for i in range(len(rows))}
    assert len(seen) == len(rows) == len(at)


# --- what cannot be joined --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("left", "right", "options", "error", "cause"),
    [
        ({"k": ["a", None]}, {"k": ["a"]}, {}, NullKey, "1 of 2 records"),
        ({"k": [1.5]}, {"k": [1.5]}, {}, KeyTypeRefused, "double"),
        ({"k": [[1]]}, {"k": [[1]]}, {}, KeyTypeRefused, "list"),
        ({"k": ["1"]}, {"k": [1]}, {}, KeyTypeRefused, "kinds"),
        ({"k": ["1"]}, {"q": ["1"]}, {}, UnknownColumn, "'k'"),
        ({"k": ["1"]}, {"k": ["1"]}, {"keys": []}, ConfigError, "columns"),
        ({"k": ["1"]}, {"k": ["1"]}, {"keys": ["k", "k"]}, ConfigError, "different"),
        ({"k": ["1"]}, {"k": ["1"]}, {"how": "cross"}, ConfigError, "cross"),
        ({"k": ["1"]}, {"k": ["1"]}, {"how": "full", "reveal_to": "left"}, ConfigError, "both"),
        ({"k": ["1"]}, {"k": ["1"]}, {"how": "left", "cardinality_only": True}, ConfigError, "inner"),
        ({"k": ["1"]}, {"k": ["1"]}, {"protocol": "hope"}, ConfigError, "protocol"),
        ({"k": ["1"]}, {"k": ["1"]}, {"memory": 1}, ConfigError, "memory"),
    ],
)
def test_bad_input_is_refused_by_name(left, right, options, error, cause):
    with pytest.raises(error, match=cause):
        psi(pa.table(left), pa.table(right), **{"keys": ["k"], **options})


@pytest.mark.parametrize(
    ("left", "right", "size"),
    [([], [], 0), ([], ["a"], 0), (["a"] * 50, ["a"] * 40, 1), (["a", "b"], ["c"], 0)],
)
def test_empty_and_equal_tables(left, right, size):
    found = psi(*(pa.table({"k": pa.array(side, pa.string())}) for side in (left, right)), keys=["k"], how="full")
    assert found.size == size
    assert found.left.pairs == (2000 if size else 0)


def test_files_that_cannot_be_read_are_named_without_their_cells(tmp_path):
    (tmp_path / "bad.csv").write_bytes(b"k\nsecret\xff\n")
    (tmp_path / "empty.csv").write_bytes(b"")
    (tmp_path / "bad.parquet").write_bytes(b"PAR1")
    (tmp_path / "text.csv").write_bytes(b"k\nsecret\n")
    good = pa.table({"k": ["a"]})
    for name, types in (
        ("bad.csv", None),
        ("empty.csv", None),
        ("bad.parquet", None),
        ("none.csv", None),
        ("x.txt", None),
    ):
        with pytest.raises(UnreadableFile, match=re.escape(name)) as caught:
            psi(tmp_path / name, good, keys=["k"], types=types)
        assert "secret" not in str(caught.value)
    with pytest.raises(UnreadableFile, match="type it was given"):
        psi(tmp_path / "text.csv", pa.table({"k": [1]}), keys=["k"], types={"k": "integer"})
    with pytest.raises(UnknownColumn, match=r"text\.csv"):
        psi(tmp_path / "text.csv", good, keys=["q"], right_keys=["k"])
    with pytest.raises(ConfigError, match="read as one of"):
        Source("x.csv", ("k",), {"k": "double"})


def test_a_csv_key_may_be_read_as_an_integer(tmp_path):
    (tmp_path / "left.csv").write_text("k\n007\n8\n")
    assert list(psi(tmp_path / "left.csv", pa.table({"k": [7]}), keys=["k"], types={"k": "integer"}).left.rows) == [0]


def test_a_csv_key_is_what_it_says(tmp_path):
    (tmp_path / "left.csv").write_text('k\nNA\nnull\n""\n007\n')
    right = pa.table({"k": ["NA", "null", "", "7"]})
    assert psi(tmp_path / "left.csv", right, keys=["k"]).size == 3


def test_sides_that_ask_for_different_things_say_so():
    from tacit.algorithm.psi import Options, align
    from tacit.primitive.driver import Driver
    from tacit.resource.channel import MemoryChannel

    mesh = MemoryChannel.mesh(["l", "r"], threads=True)
    source = Source(pa.table({"k": ["a"]}), ("k",))
    told = {}

    def run(me, peer, side, options):
        try:
            driver = Driver(me, mesh[me])
            driver.run(align(driver, peer, source, side, options))
        except Exception as error:  # noqa: BLE001  what is raised is what is looked at
            told[me] = error

    threads = [
        threading.Thread(target=run, args=("l", "r", "left", Options(how="inner"))),
        threading.Thread(target=run, args=("r", "l", "right", Options(how="full"))),
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert any(isinstance(error, TermsDiffer) and "how" in str(error) for error in told.values())


# --- more than two ----------------------------------------------------------------------------------------------------


def test_three_parties_get_their_rows_in_one_order():
    ids = [f"p{i}" for i in range(60)]
    order = np.random.default_rng(1).permutation(40)
    tables = {
        "a": pa.table({"id": ids[:40]}).take(pa.array(order)),
        "b": pa.table({"id": ids[20:]}),
        "c": pa.table({"id": ids[10:50:2]}),
    }
    found = psi_all(tables, keys=["id"])
    texts = [tables[name]["id"].take(pa.array(rows)).to_pylist() for name, rows in found.items()]
    assert texts[0] == texts[1] == texts[2]
    assert sorted(texts[0]) == sorted(ids[20:40:2])
    assert psi_all(tables, keys=["id"], reveal_to=[]) == {"a": 10, "b": 10, "c": 10}
    alone = psi_all(tables, keys=["id"], reveal_to=["b"])
    assert alone["a"] == alone["c"] == 10
    assert len(alone["b"]) == 10


def test_repeated_keys_of_three_parties_are_refused():
    tables = {name: pa.table({"id": ["x", "x"]}) for name in "abc"}
    with pytest.raises(DuplicateIdentifier, match="1 of 2"):
        psi_all(tables, keys=["id"])
    assert align_all.__doc__
