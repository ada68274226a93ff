"""Secure multi-party computation on the ring of integers modulo 2**64.

`kernel.py` states what a protocol must offer; `ideal/`, `assisted/` and `replicated/` offer it; `function/` builds every
mathematical function on top, once for all protocols.
"""
