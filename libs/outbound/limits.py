"""What a peer may take of our time and memory."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """Seconds and bytes that no peer may exceed."""

    connect: float = 5.0
    idle: float = 30.0
    """Longest silence inside an answer."""
    total: float = 60.0
    """A whole answer that is read at once, from connecting to its last byte."""
    body_bytes: int = 64 << 20
    """An answer that is read at once."""
    download_bytes: int = 16 << 30
    """An answer that is streamed."""
    frame_bytes: int = 32 << 20
    """One websocket message."""
    ping_seconds: float = 15.0
    """A websocket peer that leaves a ping unanswered for so long is dead."""
    connections: int = 1000
