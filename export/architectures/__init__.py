"""Architectures that can be exported: each file says how one family's checkpoint becomes an `Assembly`."""
