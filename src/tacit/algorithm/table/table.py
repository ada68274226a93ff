"""Tables of two parties, seen from a session: handles on what stays with its owner."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, final

import numpy as np

from tacit.algorithm.table.clean import Choice
from tacit.device.plain import PlainValue
from tacit.schedule.session import Session


@final
@dataclass(frozen=True, slots=True)
class Table:
    """A party's records, where they are. `columns` lists each column's name and number of features; `label` may be None."""

    party: str
    rows: int
    dropped: int
    columns: tuple[tuple[str, int], ...]
    ids: PlainValue
    features: PlainValue
    recipe: PlainValue
    label: PlainValue | None

    @property
    def width(self) -> int:
        """Features."""
        return sum(width for _, width in self.columns)


@final
@dataclass(frozen=True, slots=True)
class Part:
    """A party's standardised share of the common records; `positions` point into its table."""

    party: str
    train: PlainValue
    test: PlainValue
    positions: PlainValue
    recipe: PlainValue
    train_label: PlainValue | None
    test_label: PlainValue | None


def load(session: Session, party: str, path: Path, choice: Choice, recipe: Path | None = None) -> Table:
    """Have a party read its CSV or Parquet file.

    Reveals: column names and the number of records, to the session. Raises: the errors of the kind DataError.
    """
    params = {"path": str(path.resolve()), "choice": asdict(choice), "recipe": str(recipe.resolve()) if recipe else ""}
    values, answer = session.plain(party).procedure("table.load", [], params, 4 if choice.label else 3)
    facts = answer["facts"]
    columns = tuple((name, width) for name, width in facts["columns"])
    ids, features, own_recipe, *label = values
    return Table(
        party, facts["rows"], facts["dropped"], columns, ids, features, own_recipe, label[0] if label else None
    )


def align(session: Session, left: Table, right: Table) -> tuple[PlainValue, PlainValue]:
    """Positions of the common records in either table, in the same order.

    Reveals: to each owner, which of its own identifiers the other has too, and how many the other has; in both ledgers.
    Costs: 2 rounds, 64 bytes per identifier in either direction. Raises: NoOverlap.
    """
    inputs = {left.party: [left.ids], right.party: [right.ids]}
    values, _ = session.procedure("table.align", inputs, {"parties": [left.party, right.party]}, 1)
    return values[left.party][0], values[right.party][0]


def split(session: Session, table: Table, positions: PlainValue, *, test_fraction: float, seed: int) -> Part:
    """A party's training and test rows, standardised by its own training rows. Reveals nothing."""
    labels = [table.label] if table.label is not None else []
    params = {"test_fraction": test_fraction, "seed": seed}
    inputs = [table.features, positions, table.recipe, *labels]
    values, _ = session.plain(table.party).procedure("table.split", inputs, params, 4 + 2 * len(labels))
    train, test, tested, recipe, *rest = values
    train_label, test_label = rest or (None, None)
    return Part(table.party, train, test, tested, recipe, train_label, test_label)


def arrange(session: Session, table: Table, positions: PlainValue) -> PlainValue:
    """A party's common records as its recipe wants them, for prediction."""
    values, _ = session.plain(table.party).procedure("table.arrange", [table.features, positions, table.recipe], {}, 1)
    return values[0]


def score(session: Session, scores: PlainValue, label: PlainValue) -> Mapping[str, Any]:
    """AUC, accuracy and ROC curve that the owner of scores and label finds."""
    _, answer = session.plain(label.device.party).procedure("table.score", [scores, label], {}, 0)
    return dict(answer["facts"])


def keep_recipe(session: Session, recipe: PlainValue, folder: Path) -> None:
    """Have a party write its recipe beside its share of the model."""
    session.plain(recipe.device.party).procedure("table.keep", [recipe], {"folder": str(folder.resolve())}, 0)


def write_scores(
    session: Session, table: Table, positions: PlainValue, scores: np.ndarray, *, source: Path, id: str, target: Path
) -> None:
    """Have a party write the scores of its records to a CSV file."""
    plain = session.plain(table.party)
    params = {"source": str(source.resolve()), "id": id, "target": str(target.resolve())}
    plain.procedure("table.write_scores", [table.ids, positions, plain.put(scores)], params, 0)
