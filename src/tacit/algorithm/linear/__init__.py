"""Linear models."""

from tacit.algorithm.linear.logistic import LogisticRegression

__all__ = ["LogisticRegression"]
