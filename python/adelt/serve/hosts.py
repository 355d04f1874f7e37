"""Which names and addresses no other machine can reach."""

import ipaddress


def is_loopback(host: str) -> bool:
    """Whether a host is this machine, as it calls itself."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
