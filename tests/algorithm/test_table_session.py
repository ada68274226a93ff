"""Tables at their owners: read, aligned, split and scored by two parties' own processes, over TLS."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from tacit.algorithm.table import table as tables
from tacit.algorithm.table.clean import Choice
from tacit.algorithm.table.recipe import Recipe
from tacit.foundation.errors import ConfigError, DuplicateIdentifier, InputError, LabelNotBinary, NoOverlap
from tacit.foundation.ledger import verify
from tacit.schedule.session import Session

pytestmark = pytest.mark.multiprocess
COMMON = [f"p{i}" for i in range(40)]


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    with Session.local("alice", "bob", "carol", state=tmp_path / "state") as session:
        yield session


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    """Records that know their own number, in two orders, with strangers in between."""
    left, right = tmp_path / "left.csv", tmp_path / "right.parquet"
    ours = [*COMMON[::-1], "only-left"]
    left.write_text(
        "id,x,y\n"
        + "".join(f"{name},{name[1:] if name[1:].isdigit() else 99},{i % 2}\n" for i, name in enumerate(ours))
    )
    theirs = ["stranger", *COMMON[20:], "other", *COMMON[:20]]
    values = [float(name[1:]) if name[1:].isdigit() else -1.0 for name in theirs]
    parquet.write_table(pa.table({"key": theirs, "z": values}), right)
    return left, right


def test_records_are_aligned_split_and_standardised_alike(session: Session, files: tuple[Path, Path]) -> None:
    left = tables.load(session, "alice", files[0], Choice("id", label="y"))
    right = tables.load(session, "bob", files[1], Choice("key"))
    assert (left.rows, left.columns, right.rows, right.columns) == (41, (("x", 1),), 42, (("z", 1),))
    positions = tables.align(session, left, right)
    assert positions[0].shape == positions[1].shape == (40,)
    first, second = (
        tables.split(session, table, where, test_fraction=0.25, seed=3)
        for table, where in zip((left, right), positions, strict=True)
    )
    x, z = session.plain("alice").get(first.train), session.plain("bob").get(second.train)
    assert x.shape == (30, 1)
    np.testing.assert_allclose(x, z)  # the same records in the same order, standardised by the same numbers
    assert abs(x.mean()) < 1e-12
    assert x.std() == pytest.approx(1)
    np.testing.assert_allclose(session.plain("alice").get(first.test), session.plain("bob").get(second.test))
    with pytest.raises(InputError, match="bob cannot read it"):
        session.plain("bob").get(first.train)

    scores = np.linspace(0, 1, 10)
    found = tables.score(session, session.plain("alice").put(scores), first.test_label)
    assert 0 <= found["auc"] <= 1
    target = files[0].parent / "scores.csv"
    tables.write_scores(session, left, first.positions, scores, source=files[0], id="id", target=target)
    written = [line.split(",") for line in target.read_text().splitlines()]
    assert written[0] == ["id", "probability"]
    assert {name for name, _ in written[1:]} <= set(COMMON)
    recipe = Recipe.unpack(session.plain("alice").get(first.recipe))
    numbers = np.array([float(name[1:]) for name, _ in written[1:]])[:, None]
    np.testing.assert_allclose(recipe.standardise(numbers), session.plain("alice").get(first.test))

    for party in ("alice", "bob"):
        told = [(record["what"], record["to"]) for record in verify(session.ledger(party))]
        assert sorted(told) == [
            ("identifiers of alice that bob has too", ["alice"]),
            ("identifiers of bob that alice has too", ["bob"]),
            ("the number of identifiers of alice", ["bob"]),
            ("the number of identifiers of bob", ["alice"]),
        ]
    assert list(verify(session.ledger("carol"))) == []


def test_no_overlap_is_said_and_written_down_by_both(
    session: Session, files: tuple[Path, Path], tmp_path: Path
) -> None:
    strangers = tmp_path / "strangers.csv"
    strangers.write_text("id,x\n" + "".join(f"q{i},{i}\n" for i in range(5)))
    left = tables.load(session, "alice", files[0], Choice("id", label="y"))
    right = tables.load(session, "bob", strangers, Choice("id"))
    with pytest.raises(NoOverlap, match="alice and bob have no record in common: none of 41 identifiers matches"):
        tables.align(session, left, right)
    assert [record["shape"] for record in verify(session.ledger("bob"))] == [[0], [], [0], []]


def test_an_error_names_the_party(session: Session, tmp_path: Path) -> None:
    (tmp_path / "twice.csv").write_text("id,x\n1,2\n1,3\n")
    with pytest.raises(DuplicateIdentifier, match="bob: 1 of 2 records repeat an identifier of column 'id'"):
        tables.load(session, "bob", tmp_path / "twice.csv", Choice("id"))


def test_a_part_with_one_class_only(session: Session, tmp_path: Path) -> None:
    for name, label in (("a", True), ("b", False)):
        rows = "".join(f"{i},{i}{',' + str(int(i == 0)) if label else ''}\n" for i in range(24))
        (tmp_path / f"{name}.csv").write_text(f"id,x{',y' if label else ''}\n{rows}")
    left = tables.load(session, "alice", tmp_path / "a.csv", Choice("id", label="y"))
    right = tables.load(session, "bob", tmp_path / "b.csv", Choice("id"))
    positions, _ = tables.align(session, left, right)
    with pytest.raises(LabelNotBinary, match=r"alice: the .* records have one class only"):
        tables.split(session, left, positions, test_fraction=0.25, seed=0)


def test_only_procedures_of_the_library_are_loaded(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"'os\.path' is no module of Tacit"):
        Session.local("alice", "bob", state=tmp_path, procedures=("os.path",))
