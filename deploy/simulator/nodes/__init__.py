"""The node classes of the simulated runner, by name."""

from collections.abc import Mapping

from deploy.simulator.nodes import control, images
from deploy.simulator.nodes.node import Node

NODES: Mapping[str, Node] = {node.name: node for node in (*images.NODES, *control.NODES)}
