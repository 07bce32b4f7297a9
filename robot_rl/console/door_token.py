"""Who may come in: a token for those who come over the network, and no other web page's doing for anybody."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
from collections.abc import Mapping
from urllib.parse import urlsplit

from robot_rl.core.errors import ConfigError


def is_loopback(host: str) -> bool:
    """Whether only programs of this machine reach what listens there."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class Lock:
    """What the door asks of everybody.

    Args:
        host: where it listens.
        port: where it listens; names the cookie, as browsers give a cookie to all ports of a host.
        token: what must be known; None for nothing, where only this machine can come.

    Raises:
        ConfigError: others can come, and there is no token; or it is empty.
    """

    def __init__(self, host: str, port: int, token: str | None) -> None:
        if token is None and not is_loopback(host):
            raise ConfigError(
                f"the console is to listen on {host or 'all addresses'} without a token, so that anybody there could"
                " move the robot: give a token, or listen on 127.0.0.1"
            )
        if token is not None and not token.strip():
            raise ConfigError("the console's token is empty, expected a word that others do not guess")
        self._token = token
        self.cookie = f"robot_rl_console_{port}"

    @property
    def key(self) -> str:
        """The cookie's value of those who know the token; does not tell it."""
        return hmac.new((self._token or "").encode(), b"robot_rl console", hashlib.sha256).hexdigest()

    def knows(self, token: str) -> bool:
        """Whether somebody said the right token."""
        return self._token is not None and hmac.compare_digest(token.encode(), self._token.encode())

    def is_open_to(self, cookies: Mapping[str, str]) -> bool:
        """Whether somebody has come in before, or no token is wanted."""
        return self._token is None or hmac.compare_digest(cookies.get(self.cookie, "").encode(), self.key.encode())

    def is_ours(self, host: str) -> bool:
        """Whether a request is for this machine by a name that is always its own.

        Another web page's name may be made to point here, and to its script we are then of its own origin. It has no
        cookie of ours; where none is wanted, the name itself is looked at.

        Args:
            host: the request's header ``Host``.
        """
        return self._token is not None or is_loopback(_name_of(host))

    @staticmethod
    def is_same_page(origin: str | None, host: str) -> bool:
        """Whether a websocket is opened by a page of ours.

        Args:
            origin: the request's header ``Origin``; None if there is none, as of programs that are no browsers.
            host: the request's header ``Host``.
        """
        return origin is not None and urlsplit(origin).netloc == host


def _name_of(host: str) -> str:
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""
