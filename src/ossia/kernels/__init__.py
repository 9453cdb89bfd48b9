"""Kernels: the arithmetic of a forward pass.

`ops` is the table of ops, `tensors` what they work on, `cpu` what runs them.
"""
