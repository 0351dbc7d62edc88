"""Experiments on the environments and agents; every figure in the documentation comes from a command here."""
