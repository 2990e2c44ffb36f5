"""A Jupyter kernel that cannot leave the machine: run it as `python offline_kernel.py -f FILE`.

Connections of Python to other machines are refused with an error, and names are not looked up.
What the notebook and the tests say to each other goes through ZeroMQ, which is not touched.
"""

from __future__ import annotations

import ipaddress
import socket
import sys
from typing import Any

_connect, _look_up = socket.socket.connect, socket.getaddrinfo


def _refuse(address: Any) -> None:
    host = address[0] if isinstance(address, tuple) else None  # sockets in the file system: none
    if host is not None and host != "localhost" and not ipaddress.ip_address(host).is_loopback:
        raise OSError(f"this notebook must run offline, and asks for {host}")


def _guarded_connect(self: socket.socket, address: Any) -> None:
    _refuse(address)
    _connect(self, address)


def _guarded_look_up(host: Any, *args: Any, **kwargs: Any) -> Any:
    if host not in (None, "localhost", "127.0.0.1", "::1"):
        raise OSError(f"this notebook must run offline, and asks for {host}")
    return _look_up(host, *args, **kwargs)


if __name__ == "__main__":
    from ipykernel.kernelapp import launch_new_instance

    sys.path.pop(0)  # this file's folder: notebooks know no tests
    socket.socket.connect = _guarded_connect
    socket.getaddrinfo = _guarded_look_up
    launch_new_instance()
