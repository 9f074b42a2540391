"""What each runner can do: read by the replica that drives it, shared with all others through the database."""

from datetime import datetime
from uuid import UUID

import structlog

from libs.clock import Clock
from libs.errors import ServiceError
from services.execution.dispatch.contact import Contact, Contacts, Unreachable
from services.execution.dispatch.fleet import FleetState
from services.execution.dispatch.settings import DispatchSettings
from services.execution.store.catalogues import Catalogue, CatalogueStore

_LOOK_SECONDS = 1.0
_RETRY_SECONDS = 15.0
_log = structlog.get_logger(__name__)


class CatalogueReader:
    """Asks the runners driven here for their node classes; takes from the database what others read."""

    def __init__(
        self, store: CatalogueStore, fleet: FleetState, contacts: Contacts, clock: Clock, settings: DispatchSettings
    ) -> None:
        self._store = store
        self._fleet = fleet
        self._contacts = contacts
        self._clock = clock
        self._refresh_seconds = settings.catalogue_seconds
        self._read_at: dict[UUID, tuple[object, float]] = {}
        self._newest: datetime | None = None

    async def run(self) -> None:
        """Read what is due, for ever. Nothing waits for it: an unknown catalogue excludes no runner."""
        while True:
            try:
                await self._take_from_others()
                await self._read_due()
            except ServiceError as error:
                _log.warning("catalogues_unknown", reason=error.reason)
            await self._clock.sleep(_LOOK_SECONDS)

    async def _take_from_others(self) -> None:
        found, self._newest = await self._store.changed_since(self._newest)
        for catalogue in found:
            self._fleet.learn(catalogue)

    async def _read_due(self) -> None:
        for contact in self._contacts.all():
            if self._is_due(contact):
                server = _server(contact)
                read = await self._read(contact)
                self._read_at[contact.runner.runner_id] = (server if read else None, self._clock.monotonic())

    def _is_due(self, contact: Contact) -> bool:
        """After a while; much sooner when the last read failed or the server may be another than before."""
        if not contact.connected:
            return False
        server, read_at = self._read_at.get(contact.runner.runner_id, (None, float("-inf")))
        patience = self._refresh_seconds if server == _server(contact) else _RETRY_SECONDS
        return self._clock.monotonic() - read_at >= patience

    async def _read(self, contact: Contact) -> bool:
        runner = contact.runner
        try:
            version, classes = await contact.node_classes()
        except Unreachable:
            _log.info("catalogue_not_read", runner_id=str(runner.runner_id))
            return False
        catalogue = Catalogue(runner.runner_id, runner.endpoint, version, classes)
        await self._store.store(catalogue)
        self._fleet.learn(catalogue)
        return True


def _server(contact: Contact) -> object:
    """What changes when the server may have changed."""
    return contact.runner.endpoint, contact.connections
