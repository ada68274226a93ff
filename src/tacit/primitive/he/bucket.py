"""Sums by bucket for every feature: the histograms of gradient boosting, under encryption."""

from __future__ import annotations

from typing import Any

import numpy as np

from tacit.foundation.errors import DomainError, ShapeError
from tacit.primitive.he.array import CiphertextArray


def feature_wise_bucket_sum(
    array: CiphertextArray, buckets: Any, bucket_count: int, *, rows: Any = None
) -> CiphertextArray:
    """out[f, b] = sum of array[i] over the samples i with buckets[i, f] == b.

    array: [n] or [n, columns], such as gradients and hessians (or [n] with both packed in one ciphertext, for half the
    work). buckets: integers [n, features] from 0 below bucket_count, or -1 for a sample that counts nowhere. rows: the
    samples to count, as indices, by default all: the node of a tree. Returns [features, bucket_count] or
    [features, bucket_count, columns]; an empty bucket holds an encryption of zero.

    Costs: one product for every sample, feature and column; randomising the result when it leaves costs one
           encryption for every bucket.
    Error: none. The bound is that of the number of samples counted, whatever their buckets.
    Reveals: nothing of buckets or values: the work done depends on `rows`, and on buckets only in its timing.
    """
    table = np.asarray(buckets)
    if array.ndim not in {1, 2} or table.ndim != 2 or len(table) != array.shape[0]:
        raise ShapeError(
            f"buckets of shape {table.shape} do not fit ciphertexts of shape {array.shape}: pass [n, features] and "
            "[n] or [n, columns]"
        )
    if table.dtype.kind not in "iu" or bucket_count < 1:
        raise DomainError(f"buckets are integers of at least 1 bucket, not {table.dtype} of {bucket_count}")
    if table.size and (table.min() < -1 or table.max() >= bucket_count):
        raise DomainError(
            f"buckets lie between {table.min()} and {table.max()}, but -1 to {bucket_count - 1} are known"
        )
    samples = np.arange(len(table)) if rows is None else np.asarray(rows, np.int64).reshape(-1)
    if samples.size and (samples.min() < 0 or samples.max() >= len(table)):
        raise DomainError(f"rows lie outside the {len(table)} samples")
    features = table.shape[1]
    columns = array.shape[1] if array.ndim == 2 else 1
    chosen = table[samples].astype(np.int64)
    bucket = chosen + np.arange(features) * bucket_count
    feature_major, kept = bucket.T.reshape(-1), (chosen >= 0).T.reshape(-1)
    source = np.tile(samples, features)[kept]
    target = feature_major[kept]
    order = np.argsort(target, kind="stable")
    counts = np.bincount(target, minlength=features * bucket_count)
    index = source[order]
    starts = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    shape = (features, bucket_count) if array.ndim == 1 else (features, bucket_count, columns)
    bound = array.checked(array.bound * max(len(samples), 1), f"a sum of {len(samples)}")
    parts = [array.key.sums(array.rows(), index * columns + c, starts) for c in range(columns)]
    flat = np.stack(parts, axis=1).reshape(-1, array.key.width)
    return array.replaced(flat, shape=shape, bound=bound)
