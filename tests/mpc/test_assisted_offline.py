"""Correlations that a dealer wrote to files: used once, in order, for the job they were dealt for."""

import numpy as np
import pytest

from tacit.foundation.errors import (
    CorrelationExhausted,
    CorrelationReused,
    InputError,
    ProtocolMismatch,
    UnsupportedOperation,
)
from tacit.primitive.driver import Driver, run_together
from tacit.primitive.local import decode, encode
from tacit.primitive.mpc.assisted import offline
from tacit.primitive.mpc.form import Elementwise
from tacit.resource.channel import MemoryChannel

NAMES = ("alice", "bob", "dealer")
JOB = {"program": "x * y, then relu", "shape": [100]}
X = np.linspace(-3, 3, 100)
Y = np.linspace(5, -4, 100)


def job(values, products=1):
    async def run(k):
        x = await k.share("alice", (100,), values.get("alice") if k.context.me == "alice" else None)
        y = await k.share("bob", (100,), values.get("bob") if k.context.me == "bob" else None)
        z = x
        for _ in range(products):
            z = await k.product(Elementwise(), z, y, truncate=18)
        z = await k.gate(await k.negative(z), z)
        return await k.reveal(z, ["alice", "bob"])

    return run


VALUES = {"alice": encode(X, 18), "bob": encode(Y, 18)}


def consume(folder, body, description=JOB):
    ab, ba = MemoryChannel.pair("alice", "bob")
    drivers = {"alice": Driver("alice", {"bob": ab}), "bob": Driver("bob", {"alice": ba})}

    async def main(driver):
        kernel = await offline.open_session(driver, NAMES, folder / f"{driver.me}.correlations", description)
        return await body(kernel)

    return run_together(*[(driver, main(driver)) for driver in drivers.values()])


def test_a_dealt_job_runs_without_its_dealer(tmp_path):
    offline.deal(job({}), NAMES, tmp_path, JOB)
    for result in consume(tmp_path, job(VALUES)):
        np.testing.assert_allclose(decode(result, 18), np.minimum(X * Y, 0), atol=2**-14)


def test_correlations_are_never_used_twice(tmp_path):
    offline.deal(job({}), NAMES, tmp_path, JOB)
    consume(tmp_path, job(VALUES))
    with pytest.raises(CorrelationReused, match="used before"):
        consume(tmp_path, job(VALUES))


def test_a_spent_file_holds_no_seed_and_no_correlation(tmp_path):
    paths = offline.deal(job({}), NAMES, tmp_path, JOB)
    before = paths["bob"].read_bytes()
    consume(tmp_path, job(VALUES))
    after = paths["bob"].with_suffix(".spent").read_bytes()
    assert len(after) == len(before)
    assert np.count_nonzero(np.frombuffer(after, np.uint8)) < 600 + len(before) // 100


def test_a_longer_job_than_the_dealt_one_is_refused(tmp_path):
    offline.deal(job({}), NAMES, tmp_path, JOB)
    with pytest.raises((CorrelationExhausted, ProtocolMismatch)):
        consume(tmp_path, job(VALUES, products=3))


def test_another_job_is_refused_before_anything_is_used(tmp_path):
    offline.deal(job({}), NAMES, tmp_path, JOB)
    with pytest.raises(ProtocolMismatch, match="another job"):
        consume(tmp_path, job(VALUES), description={"program": "something else"})


def test_files_are_not_written_over_and_belong_to_one_party(tmp_path):
    paths = offline.deal(job({}), NAMES, tmp_path, JOB)
    assert all(path.stat().st_mode & 0o077 == 0 for path in paths.values())
    with pytest.raises(InputError, match="never written over"):
        offline.deal(job({}), NAMES, tmp_path, JOB)
    paths["alice"].unlink()
    paths["bob"].rename(paths["alice"])
    with pytest.raises(InputError, match="dealt for bob"):
        consume(tmp_path, job(VALUES))


def test_a_job_that_talks_to_the_helper_cannot_be_dealt(tmp_path):
    async def reveals_to_the_dealer(k):
        return await k.reveal(await k.share("alice", (3,), None), ["dealer"])

    with pytest.raises(UnsupportedOperation, match="offline"):
        offline.deal(reveals_to_the_dealer, NAMES, tmp_path, JOB)
