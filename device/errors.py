"""The root of the error tree: every error that a person can meet says what is wrong and what to do.

It lives in `device` because every other package may import `device`. Each package derives its own errors from it
beside the code that raises them.
"""

from __future__ import annotations


class LorgnetteError(Exception):
    """Something a person can act on.

    `message` says what is wrong in one line, `hint` says what to do about it. The command line prints both on one line
    and exits with code 2.
    """

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} ({self.hint})" if self.hint else self.message


class InputError(LorgnetteError):
    """What the person handed over (a picture, a recording, a text) cannot be used."""


class DeviceError(LorgnetteError):
    """A camera, microphone or speaker is missing, busy, or went away."""
