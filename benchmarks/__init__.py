"""Tacit beside its peers: the same cases, the same data, one run. `python -m benchmarks --help` says how."""
