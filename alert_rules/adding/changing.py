"""Change alerts.yaml and build at once; undo the change if that fails."""

import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from alert_rules.adding.secrets import read_secret, write_secret
from alert_rules.model.errors import RulesError
from alert_rules.output.files import locked, replace_file


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
    """The alert that is changed by its name, the text that alerts.yaml is to have, and a secret to write before it."""

    name: str
    text: bytes
    secret: Secret | None = None


def change(places: Places, plan: Callable[[bytes], Change], build: Callable[[], None], undone: str) -> Change:
    """Make the change that is planned from what alerts.yaml holds, build, and return it.

    `build` compiles the new alerts.yaml. It must raise before it writes anything. Changes run one at a time: others
    wait. A process that is killed on the way leaves alerts.yaml as it was or with the whole change, and the secret's
    file as it was or with the whole secret, never the change without its secret.

    Raises `RulesError` where the change cannot be made. Then nothing is changed, and `undone` says so.
    """
    # before a lock is taken on the folder, so that a file that is not there is named, and not its folder
    _read(places.alerts)
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
    return planned


def _read(path: Path) -> tuple[bytes, int]:
    try:
        return path.read_bytes(), stat.S_IMODE(path.stat().st_mode)
    except OSError as error:
        raise RulesError([f"{path}: {error.strerror} — name a file that can be read, with --alerts FILE"]) from None


def _put_back(alerts: Path, before: bytes, mode: int, planned: Change) -> None:
    # What somebody else has saved in the meantime stays.
    if alerts.read_bytes() == planned.text:
        replace_file(alerts, before, mode)
    secret = planned.secret
    if secret and read_secret(secret.path) == secret.url:
        write_secret(secret.path, secret.before)
