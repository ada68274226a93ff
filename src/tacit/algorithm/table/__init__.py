"""Tables that stay where they are: reading, checking, aligning and standardising a party's own records.

The files of this package that run in a party's process (`procedures` and what it uses) load neither JAX nor the devices.
"""
