"""The simulated runner: ComfyUI's HTTP and websocket protocol, a few real nodes, and faults on demand."""
