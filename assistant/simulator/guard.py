"""Who may use the simulator's server: whoever has the token, from a page that the server itself gave out."""

from __future__ import annotations

import hmac
import ipaddress
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qs

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse, RedirectResponse
from starlette.types import ASGIApp, Receive, Scope, Send

LOCAL_NAMES = frozenset({"127.0.0.1", "localhost", "[::1]"})
_POLICY = (
    "default-src 'self'; img-src 'self' blob: data:; media-src 'self' blob:; style-src 'self'; script-src 'self'; "
    "object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
SAFE_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


class Guard:
    """Lets a request or a WebSocket through to `app` if its Host is this server's, its Origin, where it has one, the
    same, and its token right: in the address, in `Authorization: Bearer`, or in the cookie that the first page sets.

    A name that a stranger's DNS points at this machine is not among the `names`; addresses in figures are let through
    when `names` is None, since no DNS can turn those around.
    """

    def __init__(self, app: ASGIApp, token: str, port: int, names: frozenset[str] | None = LOCAL_NAMES) -> None:
        self._app = app
        self._token = token
        self._names = names
        self._port = port
        # Cookies do not know ports: another simulator on this machine has one of another name.
        self._cookie = f"lorgnette_{port}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if not self._is_ours(host):
            return await self._refuse(scope, receive, send, 421, "this server goes by another name")
        if headers.get("origin", f"http://{host}") != f"http://{host}":
            return await self._refuse(scope, receive, send, 403, "this page is not the simulator's")
        query = parse_qs(scope.get("query_string", b"").decode("latin-1")).get("token", [""])[0]
        given = [query, headers.get("authorization", "").removeprefix("Bearer "), self._from_cookie(headers)]
        # All are compared, each in constant time.
        if not any([hmac.compare_digest(one.encode(), self._token.encode()) for one in given]):
            return await self._refuse(
                scope, receive, send, 403, "the token is missing or wrong: use the printed address"
            )
        if query and scope["type"] == "http" and scope["path"] == "/":
            # Away from the address bar, the history and the screen that is shared.
            response = RedirectResponse("/", 303, SAFE_HEADERS)
            response.set_cookie(self._cookie, self._token, httponly=True, samesite="strict", path="/")
            return await response(scope, receive, send)
        await self._app(scope, receive, send)

    def _is_ours(self, host: str) -> bool:
        name, _, port = host.rpartition(":")
        if port != str(self._port):
            name, port = host, "80"
        if port != str(self._port):
            return False
        if self._names is not None:
            return name.lower() in self._names
        try:
            ipaddress.ip_address(name.strip("[]"))
        except ValueError:
            return name.lower() in LOCAL_NAMES
        return True

    def _from_cookie(self, headers: Headers) -> str:
        try:
            cookies = SimpleCookie(headers.get("cookie", ""))
        except CookieError:
            return ""
        return cookies[self._cookie].value if self._cookie in cookies else ""

    async def _refuse(self, scope: Scope, receive: Receive, send: Send, status: int, reason: str) -> None:
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1008, "reason": reason})
        else:
            await PlainTextResponse(f"{reason}\n", status, SAFE_HEADERS)(scope, receive, send)
