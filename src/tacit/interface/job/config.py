"""The files that describe a job: who has which table, how to train, what may be revealed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeAlias

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationInfo, field_validator, model_validator

from tacit.algorithm.table.clean import Choice
from tacit.primitive.mpc.protocol import PROTOCOLS, Protocol


def _text_of_truth(value: Any) -> Any:
    return str(value).lower() if isinstance(value, bool) else value


Text: TypeAlias = Annotated[str, BeforeValidator(_text_of_truth)]
"""A name or a label; a number or a truth value stands for its text."""


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, coerce_numbers_to_str=True)


def _from_folder(path: Path | None, info: ValidationInfo) -> Path | None:
    folder = (info.context or {}).get("folder")
    return path if path is None or folder is None else folder / path.expanduser()


class Owner(_Section):
    """A party and, if it holds data, its table. See `tacit.algorithm.table.clean.Choice` for the options."""

    name: Text
    role: Literal["data", "helper"] = "data"
    file: Path | None = None
    id: Text = ""
    label: Text = ""
    positive: Text = ""
    columns: tuple[Text, ...] = ()
    exclude: tuple[Text, ...] = ()
    missing: Literal["error", "mean", "drop"] = "error"
    categorical: Literal["error", "onehot"] = "error"
    drop_constant: bool = False

    _resolve = field_validator("file", mode="after")(_from_folder)

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.role == "data" and (self.file is None or not self.id):
            raise ValueError(f"{self.name} has the role data and needs `file` and `id`, the column of identifiers")
        given = self.model_fields_set - {"name", "role"}
        if self.role == "helper" and given:
            raise ValueError(f"{self.name} is the helper and has no data; remove {', '.join(sorted(given))}")
        if self.role == "data":
            self.choice  # noqa: B018  the table's own checks speak now rather than at the party
        return self

    @property
    def choice(self) -> Choice:
        """What to take from the table."""
        return Choice(
            id=self.id,
            label=self.label,
            positive=self.positive,
            columns=self.columns,
            exclude=self.exclude,
            missing=self.missing,
            categorical=self.categorical,
            drop_constant=self.drop_constant,
        )


class Training(_Section):
    """Parameters of `tacit.algorithm.linear.LogisticRegression`."""

    C: float = Field(default=1.0, gt=0)
    batch_size: int = Field(default=2048, ge=1)
    precondition: bool | None = None
    learning_rate: float | None = Field(default=None, gt=0)
    momentum: float = Field(default=0.8, ge=0, lt=1)
    max_epochs: int = Field(default=40, ge=1)
    early_stopping: bool = True
    validation_fraction: float = Field(default=0.0, ge=0, lt=1)
    tol: float = Field(default=1e-4, gt=0)
    patience: int = Field(default=3, ge=1)


class _Job(_Section):
    parties: tuple[Owner, ...]
    deadline: float = Field(default=120.0, gt=0)

    @field_validator("parties", mode="after")
    @classmethod
    def _roles(cls, parties: tuple[Owner, ...]) -> tuple[Owner, ...]:
        roles = [party.role for party in parties]
        if sorted(roles) != ["data", "data", "helper"]:
            raise ValueError(
                f"a job has two parties with data and one helper, not {roles.count('data')} and {roles.count('helper')}"
            )
        if len({party.name for party in parties}) < len(parties):
            raise ValueError("two parties have the same name")
        return parties

    @property
    def helper(self) -> Owner:
        """The party without data."""
        return next(party for party in self.parties if party.role == "helper")


class TrainJob(_Job):
    """`tacit train lr`.

    evaluation: what is revealed about the test rows to the label's owner: their `probabilities` (from which it computes the
    ROC curve), the `auc` alone, computed on shares, both or neither. reference: also train in the clear on the pooled data,
    which a real deployment cannot. output: folder for the shares of the model and the recipes.
    """

    output: Path
    training: Training = Training()
    test_fraction: float = Field(default=0.25, gt=0, lt=1)
    seed: int = 0
    evaluation: tuple[Literal["probabilities", "auc"], ...] = ("probabilities",)
    reference: bool = False
    protocol: Literal["assisted", "replicated"] = "assisted"
    fraction_bits: int = Field(default=18, ge=4, le=30)

    _resolve = field_validator("output", mode="after")(_from_folder)

    @model_validator(mode="after")
    def _one_label(self) -> Self:
        owners = [party.name for party in self.parties if party.label]
        if len(owners) != 1:
            raise ValueError(f"exactly one party names its `label` column, not {len(owners)}")
        return self

    def make_protocol(self) -> Protocol:
        """The protocol as a value."""
        return PROTOCOLS[self.protocol](fraction_bits=self.fraction_bits)

    @property
    def owners(self) -> tuple[Owner, Owner]:
        """The label's owner, then the other party with data."""
        first, second = sorted((p for p in self.parties if p.role == "data"), key=lambda party: not party.label)
        return first, second


class PredictJob(_Job):
    """`tacit predict lr`. model: the folder that training wrote. to: who learns the probabilities. output: the file it writes."""

    model: Path
    to: Text
    output: Path

    _resolve = field_validator("model", "output", mode="after")(_from_folder)

    @model_validator(mode="after")
    def _receiver(self) -> Self:
        names = [party.name for party in self.parties if party.role == "data"]
        if self.to not in names:
            raise ValueError(f"to: {self.to} is no party with data; there are {' and '.join(names)}")
        labelled = [party.name for party in self.parties if party.label]
        if labelled:
            raise ValueError(f"{labelled[0]} names a label; prediction needs none. Remove `label` and `positive`.")
        return self
