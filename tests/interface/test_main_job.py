"""The main job, end to end: the demo, its report, prediction with the saved model, and the shared data sets."""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass
from pathlib import Path

import pytest
from sklearn.metrics import roc_auc_score
from typer.testing import CliRunner

from tacit.interface.cli import app

pytestmark = pytest.mark.multiprocess
PHASES = ["start", "read", "align", "split", "share", "train", "evaluate", "save", "reload", "reference"]


@dataclass
class Demo:
    """What one run of the demo left."""

    folder: Path
    report: dict
    page: str
    output: str


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    folder = tmp_path_factory.mktemp("demo")
    arguments = ["--json", folder / "r.json", "--html", folder / "r.html", "--folder", folder / "job"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(folder / "state"))
        result = CliRunner().invoke(app, ["demo", "hospitals", *map(str, arguments)])
    assert result.exit_code == 0, result.output
    return Demo(
        folder / "job", json.loads((folder / "r.json").read_text()), (folder / "r.html").read_text(), result.output
    )


def test_the_demo_is_as_good_as_plaintext(demo: Demo) -> None:
    report = demo.report
    assert abs(report["auc_secure"] - report["auc_plain"]) <= 0.002
    assert abs(report["auc_secure"] - report["auc_on_shares"]) <= 0.001
    assert report["disagreements_after_reload"] == 0
    assert report["rows"]["common"] == report["rows"]["train"] + report["rows"]["test"]
    assert report["rows"]["common"] < min(report["rows"]["hospital-a"], report["rows"]["hospital-b"])
    assert report["columns"] == 30


def test_the_demo_says_what_it_cost(demo: Demo) -> None:
    report = demo.report
    assert list(report["seconds"]) == PHASES
    assert report["seconds_total"] < 120
    by_name = {phase["name"]: phase for phase in report["phases"]}
    assert by_name["train"]["rounds"] > 100
    assert report["rounds"] == sum(phase["rounds"] for phase in report["phases"])
    assert report["bytes"] == sum(phase["bytes"] for phase in report["phases"])
    assert by_name["align"]["bytes"] > 2 * 32 * (report["rows"]["hospital-a"] + report["rows"]["hospital-b"])
    assert by_name["save"]["bytes"] == by_name["read"]["bytes"] == 0


def test_the_demo_reveals_what_it_declares_and_nothing_else(demo: Demo) -> None:
    revealed = [(event["what"], event["shape"], event["to"], event["count"]) for event in demo.report["reveals"]]
    everybody = ["hospital-a", "hospital-b", "helper"]
    common, test = demo.report["rows"]["common"], demo.report["rows"]["test"]
    assert revealed == [
        ("identifiers of hospital-a that hospital-b has too", [common], ["hospital-a"], 1),
        ("the number of identifiers of hospital-b", [], ["hospital-a"], 1),
        ("identifiers of hospital-b that hospital-a has too", [common], ["hospital-b"], 1),
        ("the number of identifiers of hospital-a", [], ["hospital-b"], 1),
        ("bool", [], everybody, len(demo.report["epochs"])),
        ("fixed", [], ["hospital-a"], 1),
        ("fixed", [test], ["hospital-a"], 1),
        ("fixed", [], ["hospital-a"], 1),
    ]


def test_the_demo_shows_itself(demo: Demo) -> None:
    for words in ("Who learnt what", "AUC, pooled plaintext", "ledger of helper", "train", "identifiers of hospital-a"):
        assert words in demo.output
    assert demo.page.count("<svg") == 3


def test_the_model_stays_split_in_files_of_its_owners(demo: Demo) -> None:
    model = demo.folder / "model"
    names = {path.name for path in model.iterdir()}
    assert names == {
        "hospital-a.share",
        "hospital-b.share",
        "helper.share",
        "hospital-a.recipe.json",
        "hospital-b.recipe.json",
        "model.json",
    }
    assert all(path.stat().st_mode & 0o077 == 0 for path in model.iterdir())
    assert (model / "hospital-a.share").read_bytes()[-200:] != (model / "hospital-b.share").read_bytes()[-200:]


def test_the_saved_model_predicts(demo: Demo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    job = demo.folder / "predict.yaml"
    # Not in the order of training: each party finds its own share and recipe.
    job.write_text(
        "parties:\n"
        "  - {name: helper, role: helper}\n"
        "  - {name: hospital-b, file: hospital-b.parquet, id: patient}\n"
        "  - {name: hospital-a, file: hospital-a.csv, id: patient}\n"
        "model: model\nto: hospital-b\noutput: scores.csv\n"
    )
    result = CliRunner().invoke(app, ["predict", "lr", "--config", str(job)])
    assert result.exit_code == 0, result.output
    with (demo.folder / "scores.csv").open() as file:
        scores = {row["patient"]: float(row["probability"]) for row in csv.DictReader(file)}
    with (demo.folder / "hospital-a.csv").open() as file:
        labels = {row["patient"]: row["diagnosis"] == "malignant" for row in csv.DictReader(file)}
    assert len(scores) == demo.report["rows"]["common"]
    assert roc_auc_score([labels[patient] for patient in scores], list(scores.values())) > 0.98

    job.write_text(
        job.read_text().replace("name: hospital-b", "name: hospital-z").replace("to: hospital-b", "to: hospital-z")
    )
    result = CliRunner().invoke(app, ["predict", "lr", "--config", str(job)])
    assert result.exit_code == 1
    assert "belongs to hospital-a, hospital-b, helper (the last one helps), not to helper, hospital-z" in result.output


def test_an_error_at_a_party_is_the_commands_error(demo: Demo, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    job = demo.folder / "bad.yaml"
    job.write_text((demo.folder / "job.yaml").read_text().replace("positive: malignant", "positive: nobody"))
    result = CliRunner().invoke(app, ["train", "lr", "--config", str(job)])
    assert result.exit_code == 1
    assert (
        "LabelNotBinary: hospital-a: no record has the label given as positive in column 'diagnosis'" in result.output
    )
    assert "Traceback" not in result.output


@pytest.mark.shared
@pytest.mark.slow
@pytest.mark.parametrize(
    ("guest", "host", "options"),
    [
        ("fate/default_credit_hetero_guest.csv.gz", "fate/default_credit_hetero_host.csv.gz", ""),
        ("secretflow/bank_alice.csv.gz", "secretflow/bank_bob.csv.gz", "\n    categorical: onehot"),
    ],
    ids=["credit", "bank"],
)
@pytest.mark.parametrize("seed", [1, 2])
def test_shared_data_sets(
    shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, guest: str, host: str, options: str, seed: int
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    positive = "\n    positive: yes" if "bank" in guest else ""
    job = tmp_path / "job.yaml"
    job.write_text(
        f"parties:\n  - name: guest\n    file: {shared / 'data' / guest}\n    id: id\n    label: y{positive}{options}\n"
        f"  - name: host\n    file: {shared / 'data' / host}\n    id: id{options}\n"
        f"  - {{name: helper, role: helper}}\nseed: {seed}\nreference: true\noutput: model\n"
    )
    result = CliRunner().invoke(app, ["train", "lr", "--config", str(job), "--json", str(tmp_path / "r.json")])
    assert result.exit_code == 0, result.output
    report = json.loads((tmp_path / "r.json").read_text())
    assert abs(report["auc_secure"] - report["auc_plain"]) <= 0.002
