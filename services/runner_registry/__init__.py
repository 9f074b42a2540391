"""Who may do what, and which ComfyUI servers there are."""
