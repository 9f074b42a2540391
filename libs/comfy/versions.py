"""What a server can do, by its version. Section 10 of the contract."""

import re
from dataclasses import dataclass

_NUMBERS = re.compile(r"v?(\d+(?:\.\d+)*)")


@dataclass(frozen=True, slots=True)
class ServerVersion:
    """The version a server reports. One that reports none, or nothing readable, counts as older than all."""

    text: str
    numbers: tuple[int, ...]

    @classmethod
    def parse(cls, text: object) -> "ServerVersion":
        """Read `0.33.0`, `v0.3.64-3-gabcdef`; anything else is version ()."""
        if not isinstance(text, str):
            return cls("", ())
        found = _NUMBERS.match(text)
        return cls(text, tuple(int(part) for part in found[1].split(".")) if found else ())

    @property
    def takes_prompt_id(self) -> bool:
        """Whether the prompt id is the client's choice (0.3.44); else it is in the reply only."""
        return self.numbers >= (0, 3, 44)

    @property
    def interrupts_by_id(self) -> bool:
        """Whether /interrupt looks at the prompt id (0.3.56); else it stops whatever runs."""
        return self.numbers >= (0, 3, 56)
