"""Photographs and spoken questions for `lorgnette demo`; data, and the script that made the recordings."""
