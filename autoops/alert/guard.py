"""Where a sender may connect to: each connection of the process is looked at, by the very address that it goes to.

Names are no matter: whatever a name, a redirect or a number such as 0x7f.1 turned into, is an address when it is connected to.
Refused always: link-local (metadata services of clouds among them), unspecified, multicast, reserved; unless a channel allows
private hosts: loopback and whatever else is not the public internet. IPv4 inside of IPv6 (mapped, compatible, NAT64, 6to4, Teredo)
counts as that IPv4. RFC 6890, RFC 4291, RFC 6052; metadata addresses as AWS, Azure, Alibaba and Oracle document them.
"""

from __future__ import annotations

import ipaddress
import socket
from typing import Any

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_METADATA = frozenset(
    ipaddress.ip_address(one) for one in ("169.254.169.254", "fd00:ec2::254", "100.100.100.200", "192.0.0.192", "168.63.129.16")
)
_NAT64 = tuple(ipaddress.ip_network(one) for one in ("64:ff9b::/96", "64:ff9b:1::/48"))
_COMPATIBLE = ipaddress.ip_network("::/96")


refused: list[str] = []  # what this process was kept from


class Forbidden(OSError):
    """A connection that is not made."""


def refusal(text: str, *, allow_private: bool) -> str:
    """Return why no connection is made to an address (a number as text), "" when it may be."""
    try:
        address = unwrapped(ipaddress.ip_address(text.partition("%")[0]))
    except ValueError:
        return "it is a name, and only the number that it stands for can be looked at"
    if address in _METADATA or address.is_link_local:
        return "link-local, or a cloud's metadata service"
    if address.is_unspecified or address.is_multicast or (address.version == 4 and (address.is_reserved or int(address) < 1 << 24)):
        return "no host's address"
    if not allow_private and not address.is_global:
        return "not the public internet; allow_private = true of the channel permits it"
    return ""


def is_number(text: str) -> bool:
    """Tell whether a host is an address already, and no name."""
    try:
        ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return False
    return True


def unwrapped(address: Address) -> Address:
    """Return the IPv4 address that an IPv6 one leads to, or the address itself."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address.ipv4_mapped:
        return address.ipv4_mapped
    if address.sixtofour:
        return address.sixtofour
    if address.teredo:
        return address.teredo[1]
    if any(address in network for network in _NAT64) or (address in _COMPATIBLE and int(address) > 1):
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address


def install(*, allow_private: bool) -> None:
    """Have this process, for the rest of its life, connect and send to permitted addresses only. Others raise Forbidden.

    What was refused is in `refused` too: libraries say of each error that there was one.
    """

    def look(peer: Any, sock: socket.socket) -> None:
        if sock.family not in (socket.AF_INET, socket.AF_INET6):
            raise _refused("no connection is made but by IP")
        if why := refusal(str(peer[0]), allow_private=allow_private):
            raise _refused(f"refused to connect to {peer[0]}: {why}")

    connect, connect_ex, sendto = socket.socket.connect, socket.socket.connect_ex, socket.socket.sendto

    def guarded_connect(self: socket.socket, peer: Any) -> None:
        look(peer, self)
        connect(self, peer)

    def guarded_connect_ex(self: socket.socket, peer: Any) -> int:
        look(peer, self)
        return connect_ex(self, peer)

    def guarded_sendto(self: socket.socket, data: Any, *rest: Any) -> int:
        look(rest[-1], self)
        return sendto(self, data, *rest)

    socket.socket.connect = guarded_connect  # type: ignore[method-assign, assignment]
    socket.socket.connect_ex = guarded_connect_ex  # type: ignore[method-assign, assignment]
    socket.socket.sendto = guarded_sendto  # type: ignore[method-assign, assignment]


def _refused(why: str) -> Forbidden:
    refused.append(why)
    return Forbidden(why)
