"""The HTTP and websocket routes of a ComfyUI server, by subject."""
