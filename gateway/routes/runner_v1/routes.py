"""The paths of the runner API that are served so far; the others answer 404 in its words."""

from starlette.routing import Route

from gateway.problems import speaking
from gateway.routes.runner_v1.problems import RunnerV1
from gateway.routes.runner_v1.runners import Runners

PREFIX = "/v1"


def routes(runners: Runners) -> list[Route]:
    """Runner management."""
    table = [
        ("GET", "/runner", runners.list),
        ("POST", "/runner", runners.create),
        ("GET", "/runner/{id}", runners.get),
        ("PUT", "/runner/{id}", runners.update),
        ("DELETE", "/runner/{id}", runners.delete),
    ]
    speak = speaking(RunnerV1())
    return [Route(PREFIX + path, speak(endpoint), methods=[method]) for method, path, endpoint in table]
