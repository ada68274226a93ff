"""What a good table becomes: identifiers, features, labels, and the recipe to do it again."""

from __future__ import annotations

import hashlib

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tacit.algorithm.table.clean import Choice, clean
from tacit.algorithm.table.identify import digests
from tacit.algorithm.table.recipe import Column, Recipe
from tacit.algorithm.table.score import area, roc, thin
from tacit.algorithm.table.split import public_order, split
from tacit.foundation.errors import ConfigError, LabelNotBinary, TextColumn, TooFewRows, UnreadableFile

REALS = st.floats(-1e6, 1e6).map(lambda x: round(x, 3))


def test_numbers_become_features_in_order() -> None:
    data = pa.table({"id": [3, 1], "b": [True, False], "a": pa.array([1, 2], pa.int8()), "y": ["no", "yes"]})
    records = clean(data, Choice("id", label="y", positive="yes"))
    assert records.features.tolist() == [[1.0, 1.0], [0.0, 2.0]]
    assert records.label is not None
    assert records.label.tolist() == [0.0, 1.0]
    assert records.recipe.widths == [["b", 1], ["a", 1]]
    assert records.ids.tobytes() == hashlib.sha256(b"3").digest() + hashlib.sha256(b"1").digest()


def test_identifiers_are_compared_as_text_without_their_storage() -> None:
    stored = [
        pa.array(["7", "é "]),
        pa.array(["7", "é"]).dictionary_encode(),
        pa.array(["7", "e\N{COMBINING ACUTE ACCENT}"], pa.large_string()),
    ]
    found = [clean(pa.table({"id": ids, "x": [1.0, 2.0]}), Choice("id")).ids for ids in stored]
    assert all((each == found[0]).all() for each in found)
    assert (clean(pa.table({"id": [7, 8], "x": [1.0, 2.0]}), Choice("id")).ids[0] == found[0][0]).all()


def test_columns_and_exclude() -> None:
    data = pa.table({"id": [1, 2], "a": [1, 2], "b": [3, 4], "c": [5, 6]})
    chosen = clean(data, Choice("id", columns=("c", "a"), exclude=("a",)))
    assert [column.name for column in chosen.recipe.columns] == ["c"]
    assert [c.name for c in clean(data, Choice("id", exclude=("b",))).recipe.columns] == ["a", "c"]


def test_categories_become_one_feature_each_and_two_become_one() -> None:
    data = pa.table({"id": [1, 2, 3, 4], "two": ["n", "y", "n", None], "three": ["r", "g", "b", "r"]})
    records = clean(data, Choice("id", categorical="onehot", missing="mean"))
    assert records.recipe.widths == [["two", 1], ["three", 3]]
    assert records.recipe.columns[1].categories == ("b", "g", "r")
    expected = [[0, 0, 0, 1], [1, 0, 1, 0], [0, 1, 0, 0], [np.nan, 0, 0, 1]]
    np.testing.assert_array_equal(records.features, expected)


def test_dropping_rows_keeps_everything_aligned() -> None:
    data = pa.table({"id": [1, 2, 3], "x": [1.0, None, 3.0], "y": [0, 1, 1]})
    records = clean(data, Choice("id", label="y", missing="drop"))
    assert records.dropped == 1
    assert records.features.tolist() == [[1.0], [3.0]]
    assert (records.ids == digests(["1", "3"])).all()


def test_a_recipe_is_applied_to_other_records() -> None:
    train = pa.table({"id": [1, 2, 3], "x": [1, 2, 3], "c": ["a", "b", "c"]})
    recipe = clean(train, Choice("id", categorical="onehot")).recipe
    other = pa.table({"c": ["b", "new"], "x": [7, 7], "id": [8, 9], "more": ["?", "!"]})
    assert clean(other, Choice("id"), recipe).features.tolist() == [[7, 0, 1, 0], [7, 0, 0, 0]]
    with pytest.raises(TextColumn, match="'x' was numeric when the model was trained"):
        clean(pa.table({"id": [1], "x": ["one"], "c": ["a"]}), Choice("id"), recipe)
    with pytest.raises(TextColumn, match="'c' was text when the model was trained"):
        clean(pa.table({"id": [1], "x": [1], "c": [1.0]}), Choice("id"), recipe)


@given(arrays(np.float64, st.tuples(st.integers(2, 20), st.integers(1, 4)), elements=REALS | st.just(np.nan)))
def test_standardised_features_have_mean_zero_and_deviation_one(features: np.ndarray) -> None:
    columns = tuple(Column(f"c{i}") for i in range(features.shape[1]))
    done = Recipe(columns, "mean").fitted(features).standardise(features)
    assert np.isfinite(done).all()
    present = ~np.isnan(features)
    for i in range(features.shape[1]):
        values = done[present[:, i], i]
        assert (done[~present[:, i], i] == 0).all()
        if values.size:
            assert abs(values.mean()) < 1e-6
            assert values.std() == pytest.approx(1.0, abs=1e-6) or np.ptp(features[present[:, i], i]) < 1e-5


def test_a_recipe_survives_its_file_and_refuses_others(tmp_path) -> None:
    recipe = Recipe(
        (Column("a"), Column("b", "category", ("x", "y", "z"))), "drop", (1.5, 0.0, 0.0, 0.0), (2.0, 1.0, 1.0, 1.0)
    )
    recipe.save(tmp_path / "r.json")
    assert Recipe.load(tmp_path / "r.json") == recipe
    assert (tmp_path / "r.json").stat().st_mode & 0o777 == 0o600
    (tmp_path / "r.json").write_text('{"version": 2, "columns": []}')
    with pytest.raises(UnreadableFile, match="not a recipe of this version"):
        Recipe.load(tmp_path / "r.json")
    with pytest.raises(UnreadableFile, match="no recipe"):
        Recipe.load(tmp_path / "none.json")


# --- split and score ---


@given(st.integers(24, 300), st.floats(0.2, 0.6), st.integers(-5, 5))
def test_a_split_is_a_partition_that_everybody_can_compute(count: int, fraction: float, seed: int) -> None:
    train, test = split(count, fraction, seed)
    assert sorted([*train, *test]) == list(range(count))
    assert len(test) == round(count * fraction)
    again = split(count, fraction, seed)
    assert (train == again[0]).all()
    assert (test == again[1]).all()


def test_splits_of_other_seeds_and_purposes_differ() -> None:
    assert (public_order(50, 1, "split") != public_order(50, 2, "split")).any()
    assert (public_order(50, 1, "split") != public_order(50, 1, "other")).any()


def test_a_split_that_leaves_too_little() -> None:
    with pytest.raises(TooFewRows, match="10 common records give 8 to train and 2 to test"):
        split(10, 0.25, 0)
    with pytest.raises(ConfigError, match="between 0 and 1"):
        split(100, 1.5, 0)


@given(
    st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=2, max_size=60).filter(
        lambda rows: len({label for _, label in rows}) == 2
    )
)
def test_the_area_is_the_share_of_pairs_in_order(rows: list[tuple[int, bool]]) -> None:
    scores, labels = (np.array(column, np.float64) for column in zip(*rows, strict=True))
    gap = scores[labels == 1][:, None] - scores[labels == 0][None, :]
    false, true = roc(scores, labels)
    assert area(false, true) == pytest.approx(np.mean(np.sign(gap)) / 2 + 0.5)
    assert (false[0], true[0], false[-1], true[-1]) == (0, 0, 1, 1)


def test_a_curve_of_one_class_and_a_thin_one() -> None:
    with pytest.raises(LabelNotBinary, match="3 records to score have one class only"):
        roc(np.arange(3.0), np.ones(3))
    assert thin(np.linspace(0, 1, 1000), 3) == [0.0, 0.5005, 1.0]
