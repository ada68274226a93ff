"""Hybrid vertical logistic regression: homomorphic encryption for the products, secret sharing for all else (HESS-LR).

Two hospitals have different columns of the same patients. The weights and the errors are shared at all times; each hospital
multiplies its own, unencrypted columns with what the other encrypted, so wide and sparse data never leaves in any form.

Source: Chen et al., "When Homomorphic Encryption Marries Secret Sharing", KDD 2021; sigmoid by 0.5 + z / 8.
Run it: python examples/hess_lr.py
"""

from pathlib import Path

import jax.numpy as jnp
import numpy as np
from sklearn.datasets import load_breast_cancer
from sklearn.metrics import roc_auc_score

import tacit

ROWS, STEPS, RATE, CLIP = 128, 6, 1.0, 8.0

data = load_breast_cancer()
rows = np.random.default_rng(7).permutation(len(data.target))[:ROWS]
x = (data.data - data.data.mean(0)) / data.data.std(0)
x = np.clip(x, -CLIP, CLIP)[rows]
y = data.target[rows].astype(float)

with tacit.Session.local("alice", "bob", "carol") as session:
    mpc = session.mpc()
    alice, bob = session.plain("alice"), session.plain("bob")
    under_bob = session.he(key_holder="bob", evaluators=["alice"])  # what alice multiplies
    under_alice = session.he(key_holder="alice", evaluators=["bob"])  # what bob multiplies
    sides = [(alice.put(x[:, :15]), alice, under_bob), (bob.put(x[:, 15:]), bob, under_alice)]
    label = mpc.share(bob.put(y))
    weights = [mpc.constant(np.zeros(15)) for _ in sides]

    def product(columns, secret, he):
        """A party's own columns times a secret, as a secret: nobody learns either."""
        return secret.to(he).matmul(columns, left=True, magnitude=CLIP).to(mpc)

    for _ in range(STEPS):
        scores = [product(columns, w, he) for (columns, _, he), w in zip(sides, weights)]
        error = mpc(lambda a, b, t: (a + b) / 8 + 0.5 - t)(*scores, label)
        gradients = [product(place(jnp.transpose)(columns), error, he) for columns, place, he in sides]
        weights = [mpc(lambda w, g: w - RATE / ROWS * g)(w, g) for w, g in zip(weights, gradients)]
    session.run(weights)

    final = mpc(lambda *s: s[0] + s[1])(*[product(c, w, he) for (c, _, he), w in zip(sides, weights)])
    scores = tacit.reveal(final, to="bob", because="bob, who has the labels, evaluates the model")
    session.graph().save(Path("hess_lr.svg"))

plain = np.zeros(30)
for _ in range(STEPS):
    plain -= RATE / ROWS * x.T @ (x @ plain / 8 + 0.5 - y)
print(f"AUC {roc_auc_score(y, scores):.4f}, in the clear {roc_auc_score(y, x @ plain):.4f}")
print(f"largest difference of a score: {np.abs(scores - x @ plain).max():.1e}")
