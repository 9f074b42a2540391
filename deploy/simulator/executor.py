"""The worker: one prompt at a time, node by node, with ComfyUI's messages in ComfyUI's order."""

import asyncio
import hashlib
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from deploy.simulator.faults import Faults
from deploy.simulator.folders import Folders
from deploy.simulator.nodes.node import Node, NodeFailed, Result
from deploy.simulator.prompts import Prompt, Prompts
from deploy.simulator.sockets import Sockets
from deploy.simulator.validation import Graph
from deploy.simulator.versions import Features

_OOM = "torch.OutOfMemoryError"


class Interrupted(Exception):
    """Somebody asked for an end."""


def now_ms() -> int:
    """Wall clock in milliseconds, as messages carry it."""
    return time.time_ns() // 1_000_000


@dataclass(slots=True)
class Server:
    """What the worker works with."""

    nodes: Mapping[str, Node]
    folders: Folders
    features: Features
    prompts: Prompts
    sockets: Sockets
    faults: Faults
    speed: float
    cache: dict[str, Result] = field(default_factory=dict)
    free_memory: bool = False
    interrupt: bool = False


class Worker:
    """Takes prompts from the queue for ever."""

    def __init__(self, server: Server) -> None:
        self._server = server

    async def run(self) -> None:
        """A background loop."""
        server = self._server
        while True:
            prompt = await server.prompts.next()
            if server.free_memory:
                server.cache.clear()
                server.free_memory = False
            server.interrupt = False
            server.prompts.executions[prompt.prompt_id] = server.prompts.executions.get(prompt.prompt_id, 0) + 1
            execution = Execution(server, prompt)
            await execution.run()
            execution.forget_others()
            server.prompts.finish(prompt, None if server.faults.lost_history else execution.entry())
            execution.say("executing", {"node": None, "prompt_id": prompt.prompt_id}, kept=False)


class Execution:
    """One prompt on its way."""

    def __init__(self, server: Server, prompt: Prompt) -> None:
        self.server = server
        self.prompt = prompt
        self.graph: Graph = prompt.graph
        self._keys = _cache_keys(prompt.graph, server)
        self._results: dict[str, Result] = {}
        self._states: dict[str, dict[str, Any]] = {}
        self._executed: list[str] = []
        self._current = ""

    async def run(self) -> None:
        """Execute, and tell how it went."""
        prompt, server = self.prompt, self.server
        self.say("execution_start", {"prompt_id": prompt.prompt_id})
        order = _order(self.graph, prompt.outputs)
        cached = [node_id for node_id in self.graph if node_id in order and self._is_cached(node_id)]
        self.say("execution_cached", {"nodes": cached, "prompt_id": prompt.prompt_id})
        try:
            self._suffer(order[0])
            await server.faults.until_released("hang")
            for node_id in order:
                await self._node(node_id, cached)
        except NodeFailed as failure:
            self._failed(failure)
        except Interrupted:
            self._interrupted()
        else:
            prompt.status = "success"
            if server.features.success_message:
                self.say("execution_success", {"prompt_id": prompt.prompt_id})

    def forget_others(self) -> None:
        """The cache keeps what the last prompt used and nothing older, as a real server's does."""
        cache = self.server.cache
        self.server.cache = {key: cache[key] for key in self._keys.values() if key in cache}

    def _suffer(self, node_id: str) -> None:
        if self.server.faults.take("out_of_memory"):
            self._current = node_id
            raise NodeFailed(_OOM, "Allocation on device")

    def entry(self) -> dict[str, Any]:
        """The prompt in the history."""
        prompt, features = self.prompt, self.server.features
        succeeded = prompt.status == "success"
        entry = {
            "prompt": prompt.item(hide=features.hides_secrets),
            "outputs": dict(prompt.results),
            "status": {
                "status_str": "success" if succeeded else "error",
                "completed": succeeded,
                "messages": [[kind, data] for kind, data in prompt.messages],
            },
        }
        if features.success_message:
            entry["meta"] = {node_id: self._meta(node_id) for node_id in prompt.results}
        return entry

    def say(self, kind: str, data: dict[str, Any], *, kept: bool = True) -> None:
        """Tell the prompt's client; without one only some messages go out, and those to everybody."""
        if kept:
            if self.server.features.success_message:
                data = {**data, "timestamp": now_ms()}
            self.prompt.messages.append((kind, data))
        client_id = self.prompt.client_id
        if client_id is not None or kind in ("progress", "progress_state", "execution_interrupted"):
            self.server.sockets.send(kind, data, client_id)

    async def _node(self, node_id: str, cached: list[str]) -> None:
        node = self.graph[node_id]
        if node_id in cached:
            self._from_cache(node_id)
            return
        self._current = node_id
        self._progress_state(node_id, 0.0, 1.0, "running")
        self.say(
            "executing", {"node": node_id, **self._display(node_id), "prompt_id": self.prompt.prompt_id}, kept=False
        )
        self._check_interrupt()
        node_class = self.server.nodes[node["class_type"]]
        result = await node_class.run(NodeRun(self, node_id), self._inputs(node_id))
        if not node_class.always_runs:
            self.server.cache[self._keys[node_id]] = result
        self._results[node_id] = result
        self._executed.append(node_id)
        if result.ui is not None:
            self._show(node_id, result.ui)
        last = self._states.get(node_id, {})
        self._progress_state(node_id, last.get("max", 1.0), last.get("max", 1.0), "finished")
        # A real node takes milliseconds; without this a fast run would starve every other task.
        await asyncio.sleep(0)

    def _from_cache(self, node_id: str) -> None:
        result = self.server.cache[self._keys[node_id]]
        self._results[node_id] = result
        if result.ui is not None:
            if self.server.features.executed_when_cached:
                self._show(node_id, result.ui)
                self._progress_state(node_id, 1, 1, "finished")
            else:
                self.prompt.results[node_id] = result.ui

    def _show(self, node_id: str, ui: Mapping[str, Any]) -> None:
        self.prompt.results[node_id] = ui
        data = {"node": node_id, **self._display(node_id), "output": ui, "prompt_id": self.prompt.prompt_id}
        self.say("executed", data, kept=False)

    def _display(self, node_id: str) -> dict[str, str]:
        return {"display_node": node_id} if self.server.features.success_message else {}

    def _inputs(self, node_id: str) -> dict[str, Any]:
        values = {}
        for name, value in self.graph[node_id]["inputs"].items():
            if isinstance(value, list) and len(value) == 2 and value[0] in self._results:
                values[name] = self._results[value[0]].outputs[value[1]]
            else:
                values[name] = value
        return values

    def _is_cached(self, node_id: str) -> bool:
        return self._keys[node_id] in self.server.cache

    def _check_interrupt(self) -> None:
        if self.server.interrupt:
            self.server.interrupt = False
            raise Interrupted

    def _progress_state(self, node_id: str, value: float, most: float, state: str) -> None:
        if not self.server.features.progress_state:
            return
        self._states[node_id] = {"value": value, "max": most, "state": state, **self._about(node_id)}
        nodes = {name: dict(known) for name, known in self._states.items()}
        self.say("progress_state", {"prompt_id": self.prompt.prompt_id, "nodes": nodes}, kept=False)

    def _about(self, node_id: str) -> dict[str, Any]:
        return {
            "node_id": node_id,
            "prompt_id": self.prompt.prompt_id,
            "display_node_id": node_id,
            "parent_node_id": None,
            "real_node_id": node_id,
        }

    def _meta(self, node_id: str) -> dict[str, Any]:
        return {"node_id": node_id, "display_node": node_id, "parent_node": None, "real_node_id": node_id}

    def _where(self) -> dict[str, Any]:
        return {
            "prompt_id": self.prompt.prompt_id,
            "node_id": self._current,
            "node_type": self.graph[self._current]["class_type"],
            "executed": list(self._executed),
        }

    def _failed(self, failure: NodeFailed) -> None:
        self.prompt.status = "error"
        data = {
            **self._where(),
            "exception_message": str(failure),
            "exception_type": failure.kind,
            "traceback": [f'  File "/simulated/{self.graph[self._current]["class_type"]}.py", line 1, in run\n'],
            "current_inputs": {name: [str(value)] for name, value in self.graph[self._current]["inputs"].items()},
            "current_outputs": list(self._executed),
        }
        self.say("execution_error", data)

    def _interrupted(self) -> None:
        self.prompt.status = "interrupted"
        self.say("execution_interrupted", self._where())

    async def node_progress(self, node_id: str, value: int, most: int, preview: tuple[str, bytes] | None) -> None:
        """What a running node reports."""
        self._check_interrupt()
        self._progress_state(node_id, value, most, "running")
        data: dict[str, Any] = {"value": value, "max": most}
        if self.server.features.progress_state:
            data |= {"prompt_id": self.prompt.prompt_id, "node": node_id}
        self.say("progress", data, kept=False)
        if preview is not None:
            self.server.sockets.send_preview(self._about(node_id), preview, self.prompt.client_id)


class NodeRun:
    """What a running node sees of its server."""

    def __init__(self, execution: Execution, node_id: str) -> None:
        server = execution.server
        self.folders = server.folders
        self.graph = execution.graph
        self.extra_data: Mapping[str, Any] = execution.prompt.extra_data
        self._execution = execution
        self._server = server
        self._node_id = node_id

    async def pause(self, seconds: float) -> None:
        """Take time; the runner's speed shortens it."""
        await asyncio.sleep(seconds / self._server.speed)

    async def progress(self, value: int, most: int, preview: tuple[str, bytes] | None = None) -> None:
        """Report progress."""
        await self._execution.node_progress(self._node_id, value, most, preview)

    async def send_text(self, text: str) -> None:
        """Send text to the client."""
        client_id = self._execution.prompt.client_id
        self._server.sockets.send_text(self._node_id, text, client_id)


def _order(graph: Graph, outputs: Any) -> list[str]:
    """Dependencies first, each node once."""
    order: list[str] = []
    seen: set[str] = set()
    stack: list[tuple[str, bool]] = [(output, False) for output in reversed(list(outputs))]
    while stack:
        node_id, ready = stack.pop()
        if ready:
            order.append(node_id)
        elif node_id not in seen:
            seen.add(node_id)
            stack.append((node_id, True))
            stack.extend((link, False) for link in reversed(_links(graph, node_id)))
    return order


def _links(graph: Graph, node_id: str) -> list[str]:
    values = graph[node_id]["inputs"].values()
    return [value[0] for value in values if isinstance(value, list) and len(value) == 2 and value[0] in graph]


def _cache_keys(graph: Graph, server: Server) -> dict[str, str]:
    """Equal class, equal inputs, equal inputs of those inputs: equal key."""
    keys: dict[str, str] = {}
    for node_id in _order(graph, list(graph)):
        node = graph[node_id]
        if not isinstance(node.get("inputs"), Mapping):
            continue
        inputs = {name: _keyed(value, graph, keys) for name, value in node["inputs"].items()}
        keys[node_id] = hashlib.sha256(orjson.dumps([node["class_type"], inputs, _file(node, server)])).hexdigest()
    return keys


def _keyed(value: Any, graph: Graph, keys: Mapping[str, str]) -> Any:
    is_link = isinstance(value, list) and len(value) == 2 and value[0] in graph
    return [keys.get(value[0]), value[1]] if is_link else value


def _file(node: Mapping[str, Any], server: Server) -> str:
    """LoadImage notices that its file was overwritten."""
    name = node["inputs"].get("image")
    if node["class_type"] != "LoadImage" or not isinstance(name, str):
        return ""
    path = server.folders.base / "input" / name
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
