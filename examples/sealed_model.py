"""A sealed model scores a party's input inside an enclave: the model's owner sees no input, the client sees no model.

The enclave here is a SIMULATION: a separate process that its host could look into. On hardware, backend="attested" with a
policy takes its place, and nothing else changes.
Run it: python examples/sealed_model.py
"""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

import tacit

rng = np.random.default_rng(3)
weights = {"hidden": rng.normal(size=(4, 8)), "out": rng.normal(size=8)}
patient = rng.normal(size=(2, 4))


def predict(model, rows):
    return jax.nn.sigmoid(jnp.tanh(rows @ model["hidden"]) @ model["out"])


with tacit.Session.local("vendor", "clinic", "cloud") as session:
    enclave = session.tee("scoring", host="cloud", backend="simulation", development=True)
    vendor, clinic = session.plain("vendor"), session.plain("clinic")
    model = {name: vendor.put(value).to(enclave) for name, value in weights.items()}
    scores = enclave(predict)(model, clinic.put(patient))
    risk = clinic.get(scores.to(clinic, because="the clinic asked for its patients' scores"))
    session.graph().save(Path("sealed_model.svg"))

assert np.allclose(risk, predict(weights, patient))
print(f"{enclave}: scores {np.round(risk, 3)}")
