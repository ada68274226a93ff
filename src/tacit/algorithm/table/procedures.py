"""What a party does with its own table, by name: a session asks for these, a party's process runs them on its own files.

A procedure returns plain values, which stay with the party, and facts, which the session sees: counts, column names and, from
`table.score`, how good the label owner found the scores. No identifier, label or feature is among the facts.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tacit.algorithm.table.clean import Choice, clean
from tacit.algorithm.table.identify import digests, identifier_texts
from tacit.algorithm.table.read import read_table
from tacit.algorithm.table.recipe import Recipe
from tacit.algorithm.table.score import area, roc, thin
from tacit.algorithm.table.split import split
from tacit.foundation.errors import LabelNotBinary, NoOverlap, TacitError, UnreadableFile
from tacit.foundation.files import write_private
from tacit.primitive.psi.ecdh import intersect
from tacit.schedule.procedure import Facts, PartyView, procedure

Results = tuple[Sequence[Any], Facts]


@procedure("table.load")
def load(view: PartyView, *, path: str, choice: Mapping[str, Any], recipe: str = "") -> Results:
    """Read and check the party's file.

    Results: digests of the identifiers, uint8 [n, 32]; features, float64 [n, d], NaN where missing; the recipe; and the label,
    float64 [n], if there is one. `recipe` names a file to take the recipe from instead of making one.
    Raises: the errors of the kind DataError, naming the party.
    """
    chosen = Choice(**{**choice, "columns": tuple(choice["columns"]), "exclude": tuple(choice["exclude"])})
    try:
        table = read_table(Path(path), text=chosen.id)
        records = clean(table, chosen, Recipe.load(Path(recipe)) if recipe else None)
    except TacitError as error:
        error.args = (f"{view.name}: {error}",)
        raise
    facts = {"rows": len(records.ids), "dropped": records.dropped, "columns": records.recipe.widths}
    label = [] if records.label is None else [records.label]
    return [records.ids, records.features, records.recipe.pack(), *label], facts


@procedure("table.align")
def align(view: PartyView, *, parties: Sequence[str]) -> Results:
    """Find the records that both parties have, by private set intersection.

    Inputs: identifier digests. Results: positions of the common records, int64 [m], in the order of the digests, which is the
    same at both parties and in every run.
    Reveals: to each party, which of its own identifiers the other has too, and how many the other has.
    Raises: NoOverlap.
    """
    (peer,) = (name for name in parties if name != view.name)
    mine = view.inputs[0]
    keys = [row.tobytes() for row in mine]
    found = view.driver.run(intersect(view.driver, peer, keys))
    ordered = np.array(sorted(found.tolist(), key=keys.__getitem__), np.int64)
    because = "align records by private set intersection"
    for party, other in ((view.name, peer), (peer, view.name)):
        view.ledger.append(
            "reveal",
            what=f"identifiers of {party} that {other} has too",
            shape=[len(ordered)],
            to=[party],
            because=because,
        )
        view.ledger.append(
            "reveal", what=f"the number of identifiers of {other}", shape=[], to=[party], because=because
        )
    if not len(ordered):
        raise NoOverlap(
            f"{view.name} and {peer} have no record in common: none of {len(keys)} identifiers matches. "
            "Identifiers are compared as text: 007 and 7 differ. Check that both columns hold the same kind of identifier."
        )
    return [ordered], {"rows": len(keys), "common": len(ordered)}


@procedure("table.split")
def split_rows(view: PartyView, *, test_fraction: float, seed: int) -> Results:
    """Take the aligned records, split them, and standardise with the means and deviations of the training rows.

    Inputs: features, positions, recipe and, at its owner, the label. Results: training features, test features, positions of
    the test rows, the fitted recipe and, at its owner, training label and test label.
    Raises: TooFewRows, and LabelNotBinary where a part has one class only.
    """
    features, positions, packed, *label = view.inputs
    train, test = (positions[part] for part in split(len(positions), test_fraction, seed))
    recipe = Recipe.unpack(packed).fitted(features[train])
    labels = [values[part] for values in label for part in (train, test)]
    for name, values in zip(("training", "test"), labels, strict=False):
        if values.min() == values.max():
            raise LabelNotBinary(
                f"{view.name}: the {len(values)} {name} records have one class only. Use more records."
            )
    results = [recipe.standardise(features[train]), recipe.standardise(features[test]), test, recipe.pack(), *labels]
    return results, {"train": len(train), "test": len(test)}


@procedure("table.arrange")
def arrange(view: PartyView) -> Results:
    """Take the aligned records and standardise them as the recipe says. Inputs: features, positions, recipe."""
    features, positions, packed = view.inputs
    return [Recipe.unpack(packed).standardise(features[positions])], {"rows": len(positions)}


@procedure("table.keep")
def keep(view: PartyView, *, folder: str) -> Results:
    """Write the party's recipe to `folder/PARTY.recipe.json`, readable by its user only. Inputs: the recipe."""
    path = recipe_path(Path(folder), view.name)
    Recipe.unpack(view.inputs[0]).save(path)
    return [], {"file": str(path)}


@procedure("table.score")
def score(view: PartyView) -> Results:
    """The ROC curve of scores against labels. Inputs: scores, label. Only counts and rates are among the facts."""
    scores, labels = view.inputs
    false, true = roc(scores, labels)
    right = float(np.mean((scores > 0.5) == (labels > 0.5)))
    return [], {"auc": area(false, true), "accuracy": right, "false": thin(false), "true": thin(true)}


@procedure("table.write_scores")
def write_scores(view: PartyView, *, source: str, id: str, target: str) -> Results:
    """Write `identifier,probability` to a CSV file of the party. Inputs: digests, positions, scores. `source`: the table read."""
    keys, positions, scores = view.inputs
    texts = identifier_texts(read_table(Path(source), text=id), id)
    known = {row.tobytes(): text for row, text in zip(digests(texts), texts, strict=True)}
    out = io.StringIO()
    rows = csv.writer(out, lineterminator="\n")
    rows.writerow([id, "probability"])
    try:
        rows.writerows([known[keys[at].tobytes()], f"{value:.6f}"] for at, value in zip(positions, scores, strict=True))
    except KeyError:
        raise UnreadableFile(f"{view.name}: {Path(source).name} changed while it was in use. Run again.") from None
    write_private(Path(target), out.getvalue().encode())
    return [], {"file": target, "rows": len(scores)}


def recipe_path(folder: Path, party: str) -> Path:
    """Where a party's recipe lies in a model's folder."""
    return folder / f"{party}.recipe.json"
