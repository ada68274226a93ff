"""The demo's data: scikit-learn's breast-cancer records, split between two hospitals as such records are in life.

Each hospital has most of the patients, in an order of its own. One measured cell means and knows the diagnosis; the other
has the standard errors and the worst values.
"""

from __future__ import annotations

import csv
import hashlib
from pathlib import Path

from tacit.algorithm.table.split import public_order
from tacit.foundation.errors import ConfigError

SEED = 2026
PATIENTS_A, PATIENTS_B = 525, 515
JOB = """\
# Two hospitals train a logistic regression on the records that both have.
parties:
  - name: hospital-a
    file: hospital-a.csv
    id: patient
    label: diagnosis
    positive: malignant
  - name: hospital-b
    file: hospital-b.parquet
    id: patient
  - name: helper
    role: helper
test_fraction: 0.25
seed: 1
evaluation: [probabilities, auc]
reference: true   # needs both tables in one place: a real deployment has to leave it out
output: model
"""


def write_hospitals(folder: Path) -> Path:
    """Write `hospital-a.csv`, `hospital-b.parquet` and `job.yaml`, always the same; returns the job file.

    Raises: ConfigError where scikit-learn, whose data this is, is not installed.
    """
    try:
        from sklearn.datasets import load_breast_cancer
    except ImportError:
        raise ConfigError("the demo's data comes with scikit-learn: pip install 'tacit[demo]'") from None
    import pyarrow as pa
    from pyarrow import parquet

    folder.mkdir(parents=True, exist_ok=True)
    data = load_breast_cancer()
    names = [str(name).replace(" ", "_") for name in data.feature_names]
    patients = [
        f"P{int(hashlib.sha256(f'patient {row}'.encode()).hexdigest()[:12], 16) % 10**10:010d}"
        for row in range(len(data.data))
    ]
    means = [i for i, name in enumerate(names) if name.startswith("mean_")]
    others = [i for i in range(len(names)) if i not in means]
    with (folder / "hospital-a.csv").open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(["patient", *(names[i] for i in means), "diagnosis"])
        for row in public_order(len(patients), SEED, "hospital-a")[:PATIENTS_A]:
            diagnosis = data.target_names[data.target[row]]
            rows.writerow([patients[row], *(f"{value:.8g}" for value in data.data[row, means]), diagnosis])
    chosen = public_order(len(patients), SEED, "hospital-b")[:PATIENTS_B]
    columns = {"patient": [patients[row] for row in chosen], **{names[i]: data.data[chosen, i] for i in others}}
    parquet.write_table(pa.table(columns), folder / "hospital-b.parquet")
    job = folder / "job.yaml"
    job.write_text(JOB, encoding="utf-8")
    return job
