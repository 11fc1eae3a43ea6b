"""What a client asked for and does not get."""

from __future__ import annotations

from typing import Any

from lorgnette.device.errors import LorgnetteError


class Refusal(LorgnetteError):
    """An event that cannot be obeyed; the connection goes on. `code` is for programs, `param` names the field."""

    def __init__(self, code: str, message: str, hint: str = "", param: str | None = None) -> None:
        super().__init__(message, hint)
        self.code = code
        self.param = param

    def described(self, event_id: str | None) -> dict[str, Any]:
        """The `error` field of an `error` event about the client's event `event_id`."""
        return {
            "type": "invalid_request_error",
            "code": self.code,
            "message": str(self),
            "param": self.param,
            "event_id": event_id,
        }
