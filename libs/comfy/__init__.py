"""The one client of a ComfyUI server, for every version since March 2024.

The truth about a prompt is in its history and queue (`ComfyClient.find`); the websocket (`ComfyClient.events`)
only hints.
"""

from libs.comfy import messages
from libs.comfy.cancel import CancelResult
from libs.comfy.client import ComfyClient
from libs.comfy.errors import FileMissing, PromptRefused, SubmitUnclear, UploadRefused
from libs.comfy.events import EventStream
from libs.comfy.history import DataOutput, ExecutionFailure, HistoryEntry, Outcome, OutputFile
from libs.comfy.queue import Absent, Finished, Pending, Running, Whereabouts
from libs.comfy.replies import Submitted
from libs.comfy.stats import Device, SystemStats
from libs.comfy.versions import ServerVersion

__all__ = [
    "Absent",
    "CancelResult",
    "ComfyClient",
    "DataOutput",
    "Device",
    "EventStream",
    "ExecutionFailure",
    "FileMissing",
    "Finished",
    "HistoryEntry",
    "Outcome",
    "OutputFile",
    "Pending",
    "PromptRefused",
    "Running",
    "ServerVersion",
    "SubmitUnclear",
    "Submitted",
    "SystemStats",
    "UploadRefused",
    "Whereabouts",
    "messages",
]
