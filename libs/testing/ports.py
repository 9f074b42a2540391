"""Ports that nobody uses."""

import socket


def free_port(host: str = "127.0.0.1") -> int:
    """Return a TCP port that was free a moment ago; prefer listening on port 0 where the server can say its port."""
    with socket.socket() as probe:
        probe.bind((host, 0))
        port: int = probe.getsockname()[1]
        return port
