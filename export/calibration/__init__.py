"""Rounding to few bits with an eye on what the layers really see."""
