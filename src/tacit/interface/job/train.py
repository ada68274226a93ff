"""The main job: two parties and a helper train a logistic regression on records that are split between them."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, final

import jax.numpy as jnp

from tacit.algorithm.linear import LogisticRegression
from tacit.algorithm.linear.metric import auc
from tacit.algorithm.table import table as tables
from tacit.algorithm.table.table import Part, Table
from tacit.device.mpc import MPC
from tacit.device.plain import PlainValue
from tacit.device.reveal import reveal
from tacit.device.secret import Secret
from tacit.foundation.errors import ConfigError
from tacit.interface.job.config import Owner, TrainJob
from tacit.interface.job.described import ModelDescription
from tacit.interface.job.phase import Meter, Watcher
from tacit.interface.job.reference import reference_curve
from tacit.interface.report.record import Curve, Epoch, PartySummary, Report, read_ledgers
from tacit.interface.version import package_version
from tacit.schedule.session import Session

MAX_AUC_ROWS = 1024
"""Test rows up to which the AUC is computed on shares: it compares every pair."""


def train(job: TrainJob, watch: Watcher, *, title: str = "Logistic regression on split records") -> Report:
    """Run the job's phases in order; the flow is this function.

    Reveals: to both data owners, which of their own identifiers the other has, and how many it has; to all parties, after
    every epoch, whether training goes on; to the label's owner, what `evaluation` says about the test rows, and in how
    many of them the saved model disagrees. Raises: the errors of the phases; no process outlives it.
    """
    meter = Meter(watch)
    owners = job.owners
    with meter.phase("start") as note:
        session = Session.local(*(owner.name for owner in owners), job.helper.name, deadline=job.deadline)
        note.text = "three processes, TLS 1.3 between every two"
    with session:
        meter.session = session
        with meter.phase("read") as note:
            found = [_load(session, owner) for owner in owners]
            note.text = " and ".join(f"{table.rows} records" for table in found)
        with meter.phase("align") as note:
            positions = tables.align(session, *found)
            note.text = f"{positions[0].shape[0]} records in common"
        with meter.phase("split") as note:
            cut = partial(tables.split, session, test_fraction=job.test_fraction, seed=job.seed)
            first, second = (cut(table, where) for table, where in zip(found, positions, strict=True))
            note.text = (
                f"{first.train.shape[0]} to train, {first.test.shape[0]} to test, each column standardised by its owner"
            )
        with meter.phase("share") as note:
            work = _share(session, job, first, second)
            note.text = f"{work.width} columns and the label, as random shares"
        with meter.phase("train") as note:
            model, epochs = _fit(work, job, watch)
            note.text = f"{model.n_iter_} epochs" + (
                "; one bit revealed after each" if job.training.early_stopping else ""
            )
        with meter.phase("evaluate") as note:
            curve, accuracy, on_shares = _evaluate(work, job, model)
            note.text = _said(curve, on_shares, owners[0].name)
        with meter.phase("save") as note:
            _save(session, job, model, first, second)
            note.text = "each party its own shares and recipe"
        with meter.phase("reload") as note:
            wrong = _reload(work, job, model)
            note.text = f"the saved model disagrees on {wrong} of {work.test_rows} test rows"
        plain = None
        if job.reference:
            with meter.phase("reference") as note:
                plain = reference_curve(session, (first, second), job.training.C)
                note.text = f"AUC {plain.auc:.4f} in the clear, by scikit-learn; a real deployment cannot do this"
        spent = session.profile().bytes_by_party
        ledgers = {party: session.ledger(party) for party in session.parties}
    reveals, states = read_ledgers(ledgers)
    return Report(
        title=title,
        version=package_version(),
        protocol=str(work.device),
        parties=(
            *map(_summary, owners, found),
            PartySummary(job.helper.name, "helper", "", 0, 0, 0, 0, has_label=False),
        ),
        common=positions[0].shape[0],
        train=first.train.shape[0],
        test=work.test_rows,
        epochs=tuple(epochs),
        phases=tuple(meter.phases),
        bytes_by_party=spent,
        secure=curve,
        plain=plain,
        auc_on_shares=on_shares,
        accuracy=accuracy,
        disagreements=wrong,
        reveals=reveals,
        ledgers=states,
        model=str(job.output),
    )


@final
@dataclass(frozen=True, slots=True)
class _Work:
    """What is on the MPC device: both parties' blocks of columns and the labels; `owner` knows the labels."""

    session: Session
    device: MPC
    owner: str
    train: tuple[Secret, ...]
    test: tuple[Secret, ...]
    label: Secret
    test_label: PlainValue

    @property
    def width(self) -> int:
        return sum(block.shape[1] for block in self.train)

    @property
    def test_rows(self) -> int:
        return self.test[0].shape[0]


def _load(session: Session, owner: Owner) -> Table:
    assert owner.file is not None
    return tables.load(session, owner.name, owner.file, owner.choice)


def _share(session: Session, job: TrainJob, first: Part, second: Part) -> _Work:
    """Share what has columns: a party may bring the label alone."""
    device = session.mpc(job.make_protocol(), session.parties)
    assert first.train_label is not None
    assert first.test_label is not None
    parts = [part for part in (first, second) if part.train.shape[1]]
    if not parts:
        raise ConfigError("neither party brings a feature column")
    train_blocks = tuple(device.share(part.train) for part in parts)
    test_blocks = tuple(device.share(part.test) for part in parts)
    return _Work(
        session, device, first.party, train_blocks, test_blocks, device.share(first.train_label), first.test_label
    )


def _fit(work: _Work, job: TrainJob, watch: Watcher) -> tuple[LogisticRegression, list[Epoch]]:
    epochs: list[Epoch] = []
    began = time.perf_counter()

    def on_epoch(number: int, goes_on: bool) -> None:
        epochs.append(Epoch(number, time.perf_counter() - began - sum(epoch.seconds for epoch in epochs), goes_on))
        watch.epoch(number, job.training.max_epochs)

    model = LogisticRegression(work.device, **dict(job.training))
    return model.fit(work.train, work.label, on_epoch=on_epoch), epochs


def _evaluate(work: _Work, job: TrainJob, model: LogisticRegression) -> tuple[Curve | None, float | None, float | None]:
    curve = accuracy = on_shares = None
    if "auc" in job.evaluation:
        if work.test_rows > MAX_AUC_ROWS:
            raise ConfigError(
                f"evaluation: auc compares every pair of the {work.test_rows} test rows on shares; at most {MAX_AUC_ROWS} are feasible. "
                "Lower test_fraction, or evaluate probabilities."
            )
        measured = work.device(auc)(model.decision_function(work.test), work.device.share(work.test_label))
        on_shares = float(
            reveal(measured, to=work.owner, because="how well the model ranks the test rows, as one number")
        )
    if "probabilities" in job.evaluation:
        because = f"{work.owner} has the labels of the test rows and judges the model by them"
        scores = reveal(model.predict_proba(work.test)[:, 1], to=work.owner, because=because)
        result = tables.score(work.session, work.session.plain(work.owner).put(scores), work.test_label)
        curve = Curve(result["auc"], tuple(result["false"]), tuple(result["true"]))
        accuracy = float(result["accuracy"])
    return curve, accuracy, on_shares


def _said(curve: Curve | None, on_shares: float | None, owner: str) -> str:
    parts = [f"AUC {curve.auc:.4f}, computed by {owner}"] if curve else []
    if on_shares is not None:
        parts.append(f"{on_shares:.4f} on shares")
    return "; ".join(parts) or "nothing revealed"


def _save(session: Session, job: TrainJob, model: LogisticRegression, *parts: Part) -> None:
    model.save(job.output)
    ModelDescription.of(session.parties, job.make_protocol()).save(job.output)
    for part in parts:
        tables.keep_recipe(session, part.recipe, job.output)


def _reload(work: _Work, job: TrainJob, model: LogisticRegression) -> int:
    """Load the saved model in its place; on how many test rows its classes differ."""
    restored = LogisticRegression.load(work.device, job.output)
    differ = work.device(_differences)(model.predict(work.test), restored.predict(work.test))
    because = "check that the saved model is the trained one: on how many test rows they differ"
    return round(float(reveal(differ, to=work.owner, because=because)))


def _differences(left: Any, right: Any) -> Any:
    return jnp.sum(jnp.where(left ^ right, 1.0, 0.0))


def _summary(owner: Owner, table: Table) -> PartySummary:
    assert owner.file is not None
    return PartySummary(
        owner.name,
        "data",
        Path(owner.file).name,
        table.rows,
        table.dropped,
        len(table.columns),
        table.width,
        bool(owner.label),
    )
