"""Score new records with a model that a training job saved."""

from __future__ import annotations

from tacit.algorithm.linear import LogisticRegression
from tacit.algorithm.table import table as tables
from tacit.algorithm.table.procedures import recipe_path
from tacit.device.reveal import reveal
from tacit.foundation.errors import ConfigError
from tacit.interface.job.config import Owner, PredictJob
from tacit.interface.job.described import ModelDescription
from tacit.interface.job.phase import Meter, Phase, Watcher
from tacit.schedule.session import Session


def predict(job: PredictJob, watch: Watcher) -> tuple[Phase, ...]:
    """Align the records, treat every column as in training, score them, and have `to` write its file.

    The parties must be those of the training job, under their names: each loads its own share and recipe.
    Reveals: to both data owners, which of their own identifiers the other has, and how many it has; to `to`, the
    probabilities. Raises: the errors of the phases.
    """
    meter = Meter(watch)
    described = ModelDescription.load(job.model)
    owners = _in_order(job, described)
    with meter.phase("start"):
        session = Session.local(*described.parties, deadline=job.deadline)
    with session:
        meter.session = session
        with meter.phase("read") as note:
            found = {}
            for owner in owners:
                assert owner.file is not None
                recipe = recipe_path(job.model, owner.name)
                found[owner.name] = tables.load(session, owner.name, owner.file, owner.choice, recipe)
            note.text = " and ".join(f"{table.rows} records" for table in found.values())
        with meter.phase("align") as note:
            positions = dict(zip(found, tables.align(session, *found.values()), strict=True))
            rows = positions[job.to].shape[0]
            note.text = f"{rows} records in common"
        with meter.phase("predict") as note:
            device = session.mpc(described.make_protocol(), session.parties)
            model = LogisticRegression.load(device, job.model)
            blocks = [tables.arrange(session, table, positions[party]) for party, table in found.items()]
            blocks = [block for block in blocks if block.shape[1]]
            if sum(block.shape[1] for block in blocks) != model.n_features_in_:
                raise ConfigError(
                    f"the recipes in {job.model.name} do not belong to its model. Name the folder of one training job."
                )
            scores = reveal(model.predict_proba(blocks)[:, 1], to=job.to, because=f"{job.to} asked for the predictions")
            note.text = f"{rows} probabilities, known to {job.to} alone"
        with meter.phase("write") as note:
            (receiver,) = (owner for owner in owners if owner.name == job.to)
            assert receiver.file is not None
            tables.write_scores(
                session,
                found[job.to],
                positions[job.to],
                scores,
                source=receiver.file,
                id=receiver.id,
                target=job.output,
            )
            note.text = str(job.output)
    return tuple(meter.phases)


def _in_order(job: PredictJob, described: ModelDescription) -> list[Owner]:
    """The data owners in the order of the model's blocks of columns."""
    named = {party.name: party for party in job.parties}
    if set(named) != set(described.parties) or described.parties[-1] != job.helper.name:
        raise ConfigError(
            f"the model in {job.model.name} belongs to {', '.join(described.parties)} (the last one helps), "
            f"not to {', '.join(named)}. Name the same parties in the same roles."
        )
    return [named[name] for name in described.parties[:-1]]
