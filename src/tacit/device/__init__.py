"""Devices: a place and a representation. Values move between them by `transfer.py`; `reveal` is the only way out."""
