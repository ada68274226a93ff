"""Job files: what is refused, with the line where it stands."""

from __future__ import annotations

from pathlib import Path

import pytest

from tacit.foundation.errors import ConfigError
from tacit.interface.job.config import PredictJob, TrainJob
from tacit.interface.job.described import ModelDescription
from tacit.interface.job.hospitals import JOB
from tacit.interface.job.located import load_config
from tacit.primitive.mpc.protocol import Assisted, Replicated

GOOD = """\
parties:
  - name: a
    file: a.csv
    id: key
    label: y
    positive: yes
  - {name: b, file: sub/b.parquet, id: 3, missing: mean}
  - name: c
    role: helper
output: out
"""


def train_job(folder: Path, text: str) -> TrainJob:
    path = folder / "job.yaml"
    path.write_text(text)
    return load_config(path, TrainJob)


def test_a_good_job(tmp_path: Path) -> None:
    job = train_job(tmp_path, GOOD + "training: {C: 1e-1, max_epochs: 5}\nprotocol: replicated\nfraction_bits: 20\n")
    first, second = job.owners
    assert (first.name, second.name, job.helper.name) == ("a", "b", "c")
    assert first.positive == "yes"  # YAML 1.1 reads it as a truth value
    assert second.id == "3"
    assert second.file == tmp_path / "sub" / "b.parquet"
    assert job.output == tmp_path / "out"
    assert (job.training.C, job.training.max_epochs, job.test_fraction) == (0.1, 5, 0.25)
    assert job.make_protocol() == Replicated(fraction_bits=20)


@pytest.mark.parametrize("written", ["true", "True", '"true"'])
def test_a_truth_value_stands_for_its_text(tmp_path: Path, written: str) -> None:
    assert (
        train_job(tmp_path, GOOD.replace("positive: yes", f"positive: {written}")).owners[0].positive.lower() == "true"
    )


def test_the_demo_job_is_good(tmp_path: Path) -> None:
    assert train_job(tmp_path, JOB).reference


@pytest.mark.parametrize(
    ("was", "now", "said"),
    [
        ("output: out", "", r"job\.yaml line 1: output: this key is required"),
        ("output: out", "output: out\nseeds: 3", r"line 11: seeds: no such key; did you mean 'seed'\?"),
        (
            "    id: key\n",
            "    id: key\n    smell: red\n",
            r"line 5: parties\[0\]\.smell: no such key; there are name, role, file",
        ),
        ("    file: a.csv\n", "", r"line 2: parties\[0\]: a has the role data and needs `file` and `id`"),
        ("    role: helper", "    role: boss", r"line 9: parties\[2\]\.role: Input should be 'data' or 'helper'"),
        (
            "    role: helper",
            "    role: helper\n    file: c.csv",
            r"line 8: parties\[2\]: c is the helper and has no data; remove file",
        ),
        ("    label: y\n    positive: yes\n", "", r"line 1: exactly one party names its `label` column, not 0"),
        ("    label: y\n", "", r"line 2: parties\[0\]: `positive` says which label counts as 1, but no label"),
        ("name: b", "name: a", "line 1: parties: two parties have the same name"),
        (
            "    role: helper",
            "    file: c.csv\n    id: z",
            "line 1: parties: a job has two parties with data and one helper, not 3 and 0",
        ),
        (
            "missing: mean",
            "missing: guess",
            r"line 7: parties\[1\]\.missing: Input should be 'error', 'mean' or 'drop'",
        ),
        ("output: out", "output: out\ntest_fraction: 1.5", "line 11: test_fraction: Input should be less than 1"),
        ("output: out", "output: out\ntraining:\n  C: -1", r"line 12: training\.C: Input should be greater than 0"),
        (
            "output: out",
            "output: out\ntraining: {epochs: 4}",
            r"line 11: training\.epochs: no such key; did you mean 'max_epochs'",
        ),
        (
            "output: out",
            "output: out\nevaluation: [loss]",
            r"line 11: evaluation\[0\]: Input should be 'probabilities' or 'auc'",
        ),
        ("output: out", "output: out\noutput: elsewhere", "line 11: the key 'output' stands here twice"),
        ("output: out", "output: [out", "line 11: .*expected ',' or ']'"),
        ("  - name: a", "  - name: x\n    name: a", "line 3: the key 'name' stands here twice"),
        (GOOD, "- a\n- b\n", "must be a mapping"),
        (GOOD, "", "parties: this key is required"),
    ],
)
def test_a_bad_job_names_line_and_key(tmp_path: Path, was: str, now: str, said: str) -> None:
    assert was in GOOD
    with pytest.raises(ConfigError, match=said):
        train_job(tmp_path, GOOD.replace(was, now))


def test_all_problems_are_said_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        train_job(tmp_path, GOOD + "test_fraction: 2\nseed: x\n")
    assert len(str(caught.value).splitlines()) == 2


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot read .*none\.yaml: No such file"):
        load_config(tmp_path / "none.yaml", TrainJob)
    (tmp_path / "latin.yaml").write_bytes(b"a: \xff")
    with pytest.raises(ConfigError, match="not UTF-8"):
        load_config(tmp_path / "latin.yaml", TrainJob)
    (tmp_path / "odd.yaml").write_bytes(b"a: \x01")
    with pytest.raises(ConfigError, match="a character that YAML does not allow"):
        load_config(tmp_path / "odd.yaml", TrainJob)


def test_nothing_is_constructed_but_plain_data(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="could not determine a constructor"):
        train_job(tmp_path, "parties: !!python/object/apply:os.getcwd []\n")


# --- prediction ---

PREDICT = """\
parties:
  - {name: a, file: a.csv, id: key}
  - {name: b, file: b.csv, id: key}
  - {name: c, role: helper}
model: out
to: a
output: scores.csv
"""


def predict_job(folder: Path, text: str) -> PredictJob:
    path = folder / "predict.yaml"
    path.write_text(text)
    return load_config(path, PredictJob)


def test_a_prediction(tmp_path: Path) -> None:
    job = predict_job(tmp_path, PREDICT)
    assert job.model == tmp_path / "out"
    assert job.to == "a"


def test_a_prediction_that_makes_no_sense(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="to: c is no party with data; there are a and b"):
        predict_job(tmp_path, PREDICT.replace("to: a", "to: c"))
    with pytest.raises(ConfigError, match="a names a label; prediction needs none"):
        predict_job(tmp_path, PREDICT.replace("a.csv, id: key", "a.csv, id: key, label: y"))


def test_a_models_description(tmp_path: Path) -> None:
    described = ModelDescription.of(("a", "b", "c"), Assisted(fraction_bits=16))
    described.save(tmp_path)
    assert ModelDescription.load(tmp_path) == described
    assert described.make_protocol() == Assisted(fraction_bits=16)
    with pytest.raises(ConfigError, match=r"holds no model: there is no model\.json"):
        ModelDescription.load(tmp_path / "none")
    (tmp_path / "model.json").write_text('{"version": 9}')
    with pytest.raises(ConfigError, match="describes no model of this version"):
        ModelDescription.load(tmp_path)
