"""Nodes that take time, fail, hang, or say something: stand-ins for models, and for trouble."""

from collections.abc import Mapping
from typing import Any

from deploy.simulator.nodes.images import encoded
from deploy.simulator.nodes.node import Node, NodeFailed, Result, Run

_TIPS = (
    "This error means you ran out of memory on your GPU.\n\nTIPS: If the workflow worked before you might have "
    "accidentally set the batch_size to a large number."
)


async def sampler(run: Run, inputs: Mapping[str, Any]) -> Result:
    """Steps with progress; interruptible at each."""
    return await _steps(run, inputs, previews=False)


async def sampler_with_previews(run: Run, inputs: Mapping[str, Any]) -> Result:
    """The same with a JPEG after each step."""
    return await _steps(run, inputs, previews=True)


async def _steps(run: Run, inputs: Mapping[str, Any], *, previews: bool) -> Result:
    steps, picture = inputs["steps"], inputs["image"][0]
    shown = ("JPEG", encoded(picture.convert("RGB").resize((64, 64)), "JPEG")) if previews else None
    for step in range(steps):
        await run.pause(inputs["seconds"] / steps)
        await run.progress(step + 1, steps, shown)
    return Result((inputs["image"],))


async def hang(run: Run, inputs: Mapping[str, Any]) -> Result:
    """One block that nothing interrupts."""
    await run.pause(inputs["seconds"])
    return Result((inputs["image"],))


async def fail(_: Run, inputs: Mapping[str, Any]) -> Result:
    """An error of the chosen kind."""
    if inputs["mode"] == "oom":
        raise NodeFailed("torch.OutOfMemoryError", f"{inputs['message']}\n{_TIPS}")
    raise NodeFailed("ValueError", f"{inputs['message']}\n")


async def text(run: Run, inputs: Mapping[str, Any]) -> Result:
    """Text for the front end, as a frame and as a result."""
    await run.send_text(inputs["text"])
    return Result((inputs["text"],), {"text": [inputs["text"]]})


_PICTURE: list[Any] = ["IMAGE"]


def _seconds(default: float) -> list[Any]:
    return ["FLOAT", {"default": default, "min": 0.0, "max": 3600.0}]


_SEED: list[Any] = ["INT", {"default": 0, "min": 0, "max": 2**53}]


def _steps_spec(default: int, most: int) -> list[Any]:
    return ["INT", {"default": default, "min": 1, "max": most}]


def _family(prefix: str) -> tuple[Node, ...]:
    """The same stand-ins under two names: ours, and those of the recorded test servers."""
    sleep = {"image": _PICTURE, "seconds": _seconds(1.0), "steps": _steps_spec(10, 10000)}
    shown = {"image": _PICTURE, "seconds": _seconds(1.0), "steps": _steps_spec(4, 1000), "seed": _SEED}
    failing = {
        "image": _PICTURE,
        "mode": [["value", "oom"], {}],
        "message": ["STRING", {"default": "deliberate failure"}],
    }
    names = {"Sim": ("SimSampler", "SimPreviewSampler"), "CP": ("CPSleep", "CPPreviewSteps")}[prefix]
    seed = {"seed": _SEED}
    return (
        Node(names[0], sampler, sleep, optional=seed, outputs=("IMAGE",), category="simulated"),
        Node(names[1], sampler_with_previews, shown, outputs=("IMAGE",), category="simulated"),
        Node(
            f"{prefix}Hang",
            hang,
            {"image": _PICTURE, "seconds": _seconds(5.0)},
            optional=seed,
            outputs=("IMAGE",),
            category="simulated",
        ),
        Node(f"{prefix}Fail", fail, failing, outputs=("IMAGE",), category="simulated"),
        Node(
            f"{prefix}Text",
            text,
            {"text": ["STRING", {"default": "hello", "multiline": True}]},
            outputs=("STRING",),
            category="simulated",
            is_output=True,
        ),
    )


NODES = (*_family("Sim"), *_family("CP"))
