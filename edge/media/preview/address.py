"""Address that the preview listens on; its port is taken before any model is loaded."""

import errno
import ipaddress
import re
import socket
from dataclasses import dataclass

from runtimes.errors import InputError

DEFAULT_HOST = "127.0.0.1"
UNREAD_TIMEOUT_MS = 60_000
"""Time after which the kernel closes a connection whose viewer reads nothing."""

_FORM = re.compile(r"(?:(?P<host>\[[^\]]+\]|[^:\[\]\s]+):)?(?P<port>\d{1,5})")


@dataclass(frozen=True, slots=True)
class Address:
    """A host name or IP address without brackets, and a port; port 0 takes any free one."""

    host: str
    port: int

    @property
    def loopback(self) -> bool:
        """Whether only this machine reaches it."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"

    @property
    def url(self) -> str:
        """Address for a browser; this machine's name where it listens on all interfaces."""
        host = self.host
        if host in {"0.0.0.0", "::"}:  # noqa: S104 compared, not bound
            host = socket.gethostname()
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}/"


def parse_address(text: str) -> Address:
    """Return the address of "PORT" (loopback), "HOST:PORT" or "[IPv6]:PORT"; raises InputError for anything else."""
    found = _FORM.fullmatch(text.strip())
    if not found or int(found["port"]) > 65535:
        raise InputError(
            f"{text!r} is no address to serve on; give PORT or HOST:PORT, such as 8080"
        )
    return Address((found["host"] or DEFAULT_HOST).strip("[]"), int(found["port"]))


def listen(address: Address) -> socket.socket:
    """Return a listening socket; raises InputError for a port in use and for a host of another machine."""
    try:
        family, kind, number, _, place = socket.getaddrinfo(
            address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, number)
    except OSError as error:
        raise InputError(
            f"cannot serve on {address.host}: {error.strerror}; name an address of this machine"
        ) from error
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if hasattr(socket, "TCP_USER_TIMEOUT"):  # Linux; each connection inherits it
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNREAD_TIMEOUT_MS)
        listener.bind(place)
        listener.listen(64)
    except OSError as error:
        listener.close()
        raise InputError(_refusal(address, error)) from error
    return listener


def _refusal(address: Address, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"port {address.port} of {address.host} is in use; choose another, or 0 for any free one"
    if error.errno == errno.EACCES:
        return f"port {address.port} needs rights that this user lacks; choose one from 1024 up"
    return f"cannot serve on {address.host}:{address.port}: {error.strerror}; name an address of this machine"
