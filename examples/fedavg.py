"""Federated averaging over records split by rows: masked aggregation, and a privacy budget for every clinic.

Three clinics hold different patients with the same columns. In each round every clinic computes the clipped gradients of its own
patients and sums them up; the sums are aggregated under masks with Gaussian noise that the clinics share, so that the server sees one
noisy sum, and each clinic's budget is charged for it. When a budget is exhausted, the next round is refused.

Run it: python examples/fedavg.py
"""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from sklearn.datasets import load_breast_cancer
from sklearn.metrics import roc_auc_score

import tacit
from tacit.foundation.errors import BudgetExhausted

CLIP, RATE, CLINICS = 1.0, 2.0, ("north", "south", "west")

data = load_breast_cancer()
x = (data.data - data.data.mean(0)) / data.data.std(0)
x = np.column_stack([x, np.ones(len(x))])
y = data.target.astype(float)
rows = np.array_split(np.random.default_rng(5).permutation(len(y)), 3)


def clipped_gradient(x, y, weights):
    """The sum over records of gradients, none longer than CLIP: one record more or less moves it by no more than that."""
    each = (jax.nn.sigmoid(x @ weights) - y)[:, None] * x
    norms = jnp.linalg.norm(each, axis=1, keepdims=True)
    return (each * jnp.minimum(1.0, CLIP / norms)).sum(0)


with tacit.Session.local(*CLINICS, "server") as session:
    tables = {c: (session.plain(c).put(x[r]), session.plain(c).put(y[r])) for c, r in zip(CLINICS, rows)}
    budgets = {c: session.budget(c, epsilon=6.0, delta=1e-5, by="rdp") for c in CLINICS}
    noise = tacit.DiscreteGaussian(deviation=4.0, sensitivity=CLIP)
    weights = np.zeros(x.shape[1])
    done = 0
    try:
        for _ in range(50):
            sums = {c: session.plain(c)(clipped_gradient)(*tables[c], weights) for c in CLINICS}
            total = tacit.aggregate(
                sums,
                "masked",
                server="server",
                because="one step of the joint model",
                privacy=noise,
                masking=tacit.Masking(clip=250.0),
            )
            weights = weights - RATE / len(y) * session.plain("server").get(total)
            done += 1
    except BudgetExhausted:
        pass
    spent = {c: round(budget.spent(), 2) for c, budget in budgets.items()}
    session.graph().save(Path("fedavg.svg"))

print(f"rounds {done}, epsilon spent {spent}")
print(f"AUC {roc_auc_score(y, x @ weights):.4f}")
