"""What is kept beside the ledger's state: the table it is of, and the settings it was kept by."""

import contextlib
import logging

from exporter.config import Classification
from exporter.database.errors import IdentityMismatch
from exporter.database.session import Identity
from exporter.zones import find_zone

log = logging.getLogger(__name__)

IDENTITY = "identity"
CLASSIFICATION = "classification"
GOING = "going"
STALE_SUMS = "stale_sums"
"""Set where the sums of days and users must be made anew, as if the settings had changed."""


def restored(stored: object) -> Classification | None:
    """The classification that a state was kept by; None, which is logged, where this version cannot use it."""
    with contextlib.suppress(ValueError):
        classification = Classification.model_validate(stored)
        if find_zone(classification.log_time_zone) and find_zone(classification.budget_time_zone):
            return classification
    log.warning("the state was kept with settings that this version cannot read: rows are read anew as known")
    return None


def check_identity(known: Identity, found: Identity) -> None:
    """Raise `IdentityMismatch` where a state was kept for another table than the one found."""
    if known.is_same(found):
        return
    raise IdentityMismatch(
        f"the state was kept for table {as_words(known)}, and this is table {as_words(found)}",
        "connect to the former, name another --state-dir, or take this one on with `ai-operation-exporter state adopt`",
    )


def named(identity: Identity) -> str:
    """A table, its database and its system, for a list."""
    return f"{identity.table} in {identity.database}, system {identity.system or 'unknown'}"


def as_words(identity: Identity) -> str:
    """The same within a sentence."""
    system = f" (system {identity.system})" if identity.system else ""
    return f"{identity.table} in database {identity.database}{system}"
