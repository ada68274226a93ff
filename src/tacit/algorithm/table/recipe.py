"""What was done to a party's columns before training, so that the same can be done before predicting.

A recipe is that party's own: it holds category names, means and scales of its data, and is never sent to anybody.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal, Self, final

import numpy as np
from numpy.typing import NDArray

from tacit.foundation.errors import UnreadableFile
from tacit.foundation.files import write_private

VERSION = 1


@final
@dataclass(frozen=True, slots=True)
class Column:
    """One column of the file: a number, or a category with one feature for each value (one alone if there are two)."""

    name: str
    kind: Literal["number", "category"] = "number"
    categories: tuple[str, ...] = ()

    @property
    def width(self) -> int:
        """Features it becomes."""
        return 1 if self.kind == "number" or len(self.categories) == 2 else len(self.categories)


@final
@dataclass(frozen=True, slots=True)
class Recipe:
    """Columns in order, how missing values are treated, and, once known, each feature's mean and scale."""

    columns: tuple[Column, ...]
    missing: str
    mean: tuple[float, ...] = ()
    scale: tuple[float, ...] = ()

    def fitted(self, features: NDArray[np.float64]) -> Self:
        """With mean and standard deviation of the features [rows, d], missing values (NaN) left out.

        A feature that does not vary gets scale 1: it becomes zero, and the model does not use it.
        """
        if not features.size:
            return replace(self, mean=(0.0,) * features.shape[1], scale=(1.0,) * features.shape[1])
        present = ~np.isnan(features)
        count = np.maximum(present.sum(axis=0), 1)
        mean = np.where(present, features, 0.0).sum(axis=0) / count
        spread = np.sqrt((np.where(present, features - mean, 0.0) ** 2).sum(axis=0) / count)
        scale = np.where(spread > 1e-12 * np.maximum(np.abs(mean), 1.0), spread, 1.0)
        return replace(self, mean=tuple(mean.tolist()), scale=tuple(scale.tolist()))

    def standardise(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        """Features [rows, d] with mean 0 and standard deviation 1 in the rows of `fitted`; missing ones become 0."""
        return np.nan_to_num((features - np.array(self.mean)) / np.array(self.scale), nan=0.0)

    @property
    def widths(self) -> list[list[Any]]:
        """Name and number of features of each column: no category, no statistic."""
        return [[column.name, column.width] for column in self.columns]

    def pack(self) -> NDArray[np.uint8]:
        """As bytes, to be kept among a party's plain values."""
        return np.frombuffer(json.dumps({"version": VERSION, **asdict(self)}).encode(), np.uint8)

    @classmethod
    def unpack(cls, data: NDArray[np.uint8] | bytes) -> Self:
        """The recipe of `pack`. Raises UnreadableFile for anything else."""
        try:
            fields = json.loads(bytes(data))
            known = fields.pop("version") == VERSION
            columns = tuple(Column(c["name"], c["kind"], tuple(c["categories"])) for c in fields.pop("columns"))
            numbers = {name: tuple(float(value) for value in fields.pop(name)) for name in ("mean", "scale")}
            recipe = cls(columns=columns, missing=str(fields["missing"]), **numbers)
        except (ValueError, KeyError, TypeError, AttributeError):
            known = False
        if not known:
            raise UnreadableFile("this is not a recipe of this version. Train again, or use the file of this model.")
        return recipe

    def save(self, path: Path) -> None:
        """Write it readable by its user only."""
        write_private(path, self.pack().tobytes())

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what `save` wrote. Raises UnreadableFile."""
        try:
            return cls.unpack(path.read_bytes())
        except OSError as error:
            raise UnreadableFile(f"there is no recipe {path.name}: {error.strerror}") from None
