"""A change of alerts.yaml that is built at once, and undone where it cannot be."""

import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from alert_rules.errors import RulesError
from alert_rules.files import locked, replace_file
from alert_rules.secrets import read_secret, write_secret


@dataclass(frozen=True, slots=True)
class Places:
    """The files that a change is made in: `secrets` is the folder that Alertmanager sees as its own."""

    alerts: Path
    secrets: Path


@dataclass(frozen=True, slots=True)
class Secret:
    """A URL to be written, and what was in its file before."""

    path: Path
    url: str
    before: str | None


@dataclass(frozen=True, slots=True)
class Change:
    """The text that alerts.yaml shall have, and a secret that must be there before it."""

    text: bytes
    secret: Secret | None = None


def change(places: Places, plan: Callable[[bytes], Change], build: Callable[[], None], undone: str) -> None:
    """Make the change that is planned from what alerts.yaml holds, and build. After a `RulesError` nothing is changed.

    `build` compiles alerts.yaml as it then is, and raises where it cannot; it must not have written anything then. One
    change at a time: others wait. A process that is ended on the way leaves alerts.yaml as it was or with the whole
    change, and the secret's file as it was or with the whole secret, never the change before the secret. `undone` is
    said where a change was begun and put back.
    """
    alerts = places.alerts.resolve()
    with locked(alerts.parent):
        before, mode = _read(alerts)
        planned = plan(before)
        try:
            if planned.secret:
                write_secret(planned.secret.path, planned.secret.url)
            replace_file(alerts, planned.text, mode)
            build()
        except BaseException as error:
            _put_back(alerts, before, mode, planned)
            if isinstance(error, RulesError):
                raise RulesError([*error.problems, undone]) from None
            if isinstance(error, OSError):
                raise RulesError([f"{error.filename}: {error.strerror} — make it writable", undone]) from None
            raise


def _read(path: Path) -> tuple[bytes, int]:
    try:
        return path.read_bytes(), stat.S_IMODE(path.stat().st_mode)
    except OSError as error:
        raise RulesError([f"{path}: {error.strerror} — name a file that can be read"]) from None


def _put_back(alerts: Path, before: bytes, mode: int, planned: Change) -> None:
    # What somebody has saved in the meantime is theirs.
    if alerts.read_bytes() == planned.text:
        replace_file(alerts, before, mode)
    secret = planned.secret
    if secret and read_secret(secret.path) == secret.url:
        write_secret(secret.path, secret.before)
