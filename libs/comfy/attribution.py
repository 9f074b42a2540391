"""Give pictures and text the prompt they belong to: on the wire they carry none (frames 1 and 3)."""

from dataclasses import replace

from libs.comfy.messages import Event, Executing, ExecutionStart, Preview, Progress, Text


class Attribution:
    """Remembers what ran last on one connection."""

    def __init__(self) -> None:
        """Nothing ran yet."""
        self._prompt_id: str | None = None
        self._node: str | None = None

    def apply(self, event: Event) -> Event:
        """Return the event with its prompt and node filled in where it has none."""
        match event:
            case ExecutionStart(prompt_id=prompt_id):
                self._prompt_id, self._node = prompt_id, None
            case Executing(prompt_id=prompt_id, node=node):
                self._prompt_id, self._node = prompt_id or self._prompt_id, node
            case Progress(prompt_id=prompt_id, node=node):
                # Both names are newer than the message itself.
                self._prompt_id, self._node = prompt_id or self._prompt_id, node or self._node
            case Preview(prompt_id=None):
                return replace(event, prompt_id=self._prompt_id, node=event.node or self._node)
            case Text(prompt_id=None):
                return replace(event, prompt_id=self._prompt_id)
            case _:
                pass
        return event
