"""What tests lean on: waiting for conditions, a clock that is moved by hand, free ports."""

from libs.testing.fake_clock import FakeClock
from libs.testing.ports import free_port
from libs.testing.waiting import eventually

__all__ = ["FakeClock", "eventually", "free_port"]
