"""Workflows for tests."""

from typing import Any


def picture(color: int = 1, **more: Any) -> dict[str, Any]:
    """One plain picture, saved. `more` are further nodes."""
    return {
        "1": {"class_type": "EmptyImage", "inputs": {"width": 16, "height": 8, "batch_size": 1, "color": color}},
        "9": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "test"}},
        **more,
    }


def sampled(seconds: float, steps: int = 0, color: int = 1, node: str = "SimSampler") -> dict[str, Any]:
    """A picture that takes time; by default ten steps a second, at each of which it can be stopped."""
    steps = steps or max(1, round(seconds * 10))
    graph = picture(color)
    graph["2"] = {"class_type": node, "inputs": {"image": ["1", 0], "seconds": seconds, "steps": steps}}
    if node == "SimPreviewSampler":
        graph["2"]["inputs"]["seed"] = color
    graph["9"]["inputs"]["images"] = ["2", 0]
    return graph


def failing(mode: str = "value") -> dict[str, Any]:
    """A node that raises."""
    graph = picture()
    graph["2"] = {"class_type": "SimFail", "inputs": {"image": ["1", 0], "mode": mode, "message": "deliberate"}}
    graph["9"]["inputs"]["images"] = ["2", 0]
    return graph


def loading(reference: Any) -> dict[str, Any]:
    """A picture that was uploaded, inverted."""
    return {
        "1": {"class_type": "LoadImage", "inputs": {"image": reference}},
        "2": {"class_type": "ImageInvert", "inputs": {"image": ["1", 0]}},
        "9": {"class_type": "SaveImage", "inputs": {"images": ["2", 0], "filename_prefix": "loaded"}},
    }
