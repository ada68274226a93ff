"""Cryptography without input and output: protocols compute, links move bytes."""
