"""The cases as CrypTen writes them: the algorithms of `benchmarks/cases.py` on CrypTen tensors.

CrypTen has no sort; pictures are channels-first here, so the inputs of the convolutions are turned on the way in and
their outputs on the way out.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.systems.worker import Array

Turn = Callable[..., Sequence[Array]]


def _unchanged(*arrays: Array) -> Sequence[Array]:
    return arrays


@dataclass(frozen=True)
class CrypTenCase:
    """`function` maps encrypted tensors to one or a tuple of them; `enter` and `leave` change the layout."""

    function: Callable[..., Any]
    enter: Turn = _unchanged
    leave: Turn = _unchanged


def _train_logistic(features: Any, labels: Any, weights: Any) -> Any:
    for x, y in zip(features, labels, strict=True):
        error = x.matmul(weights).sigmoid() - y
        weights = weights - x.transpose(0, 1).matmul(error) * (0.1 / x.size(0))
    return weights


def _train_perceptron(features: Any, labels: Any, *parameters: Any) -> Any:
    w1, b1, w2, b2, w3, b3 = parameters
    for x, y in zip(features, labels, strict=True):
        z1 = x.matmul(w1) + b1
        m1 = z1 > 0
        a1 = z1 * m1
        z2 = a1.matmul(w2) + b2
        m2 = z2 > 0
        a2 = z2 * m2
        d3 = ((a2.matmul(w3) + b3).softmax(1) - y) * (1.0 / x.size(0))
        d2 = d3.matmul(w3.transpose(0, 1)) * m2
        d1 = d2.matmul(w2.transpose(0, 1)) * m1
        w1, b1 = w1 - x.transpose(0, 1).matmul(d1) * 0.1, b1 - d1.sum(0) * 0.1
        w2, b2 = w2 - a1.transpose(0, 1).matmul(d2) * 0.1, b2 - d2.sum(0) * 0.1
        w3, b3 = w3 - a2.transpose(0, 1).matmul(d3) * 0.1, b3 - d3.sum(0) * 0.1
    return w1, b1, w2, b2, w3, b3


def _lenet(x: Any, k1: Any, k2: Any, w1: Any, w2: Any) -> Any:
    h = x.conv2d(k1).max_pool2d(2).relu()
    h = h.conv2d(k2).max_pool2d(2).relu()
    return h.reshape(h.size(0), -1).matmul(w1).relu().matmul(w2)


def _enter_lenet(x: Array, k1: Array, k2: Array, w1: Array, w2: Array) -> Sequence[Array]:
    flattened = w1.reshape(4, 4, 50, 500).transpose(2, 0, 1, 3).reshape(800, 500)
    return x.transpose(0, 3, 1, 2), k1.transpose(3, 2, 0, 1), k2.transpose(3, 2, 0, 1), flattened, w2


def _enter_convolution(x: Array, kernel: Array) -> Sequence[Array]:
    return x.transpose(0, 3, 1, 2), kernel.transpose(3, 2, 0, 1)


def _leave_convolution(y: Array) -> Sequence[Array]:
    return (y.transpose(0, 2, 3, 1),)


TOKENS, HIDDEN, HEADS = 128, 384, 12


def _transformer_block(
    x: Any, wq: Any, wk: Any, wv: Any, wo: Any, w1: Any, w2: Any, g1: Any, b1: Any, g2: Any, b2: Any
) -> Any:
    def split(t: Any) -> Any:
        return t.reshape(TOKENS, HEADS, HIDDEN // HEADS).transpose(0, 1)

    query, key, value = split(x.matmul(wq)), split(x.matmul(wk)), split(x.matmul(wv))
    scores = query.matmul(key.transpose(1, 2)) * (1 / (HIDDEN // HEADS) ** 0.5)
    mixed = scores.softmax(2).matmul(value).transpose(0, 1).reshape(TOKENS, HIDDEN)
    x = _normalise(x + mixed.matmul(wo)) * g1 + b1
    u = x.matmul(w1)
    gelu = (u * ((u + u * u * u * 0.044715) * 0.7978845608).tanh() + u) * 0.5
    return _normalise(x + gelu.matmul(w2)) * g2 + b2


def _normalise(x: Any) -> Any:
    centred = x - x.mean(-1).unsqueeze(-1)
    variance = (centred * centred).mean(-1).unsqueeze(-1) + 1e-3
    return centred * variance.inv_sqrt()


CASES: Mapping[str, CrypTenCase] = {
    "mul": CrypTenCase(lambda x, y: x * y),
    "matmul512": CrypTenCase(lambda x, y: x.matmul(y)),
    "matmul1024": CrypTenCase(lambda x, y: x.matmul(y)),
    "less": CrypTenCase(lambda x, y: x < y),
    "relu": CrypTenCase(lambda x: x.relu()),
    "max_axis": CrypTenCase(lambda x: x.max(dim=1)[0]),
    "sigmoid_1e5": CrypTenCase(lambda x: x.sigmoid()),
    "sigmoid_1e6": CrypTenCase(lambda x: x.sigmoid()),
    "exp": CrypTenCase(lambda x: x.exp()),
    "reciprocal": CrypTenCase(lambda x: x.reciprocal()),
    "softmax": CrypTenCase(lambda x: x.softmax(dim=1)),
    "lr_breast_cancer": CrypTenCase(_train_logistic),
    "lr_synth_100k": CrypTenCase(_train_logistic),
    "mlp_train": CrypTenCase(_train_perceptron),
    "mlp_train_5steps": CrypTenCase(_train_perceptron),
    "lenet_b1": CrypTenCase(_lenet, _enter_lenet),
    "lenet_b128": CrypTenCase(_lenet, _enter_lenet),
    "conv_relu_64x56x56": CrypTenCase(
        lambda x, kernel: x.conv2d(kernel, padding=1).relu(), _enter_convolution, _leave_convolution
    ),
    "transformer_block": CrypTenCase(_transformer_block),
}
