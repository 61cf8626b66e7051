"""Keep webhooks' URLs in files of their own that are never committed: whoever has one can post."""

import ipaddress
import re
import stat
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from alert_rules.language.channels import SECRETS_FOLDER, Channel
from alert_rules.model.errors import RulesError
from alert_rules.output.files import remove_file, replace_file, sync_folder

_HOSTS = ("discord.com", "ptb.discord.com", "canary.discord.com", "discordapp.com")
_PATH = re.compile(r"/api(/v\d{1,2})?/webhooks/\d{1,20}/[\w-]{1,200}", re.ASCII)
_QUERY = re.compile(r"(thread_id=\d{1,20})?", re.ASCII)
_HINT = "write the URL that Discord shows for the webhook: https://discord.com/api/webhooks/…"


def check_webhook_url(url: str) -> None:
    """RulesError, which does not repeat it, unless a URL is a Discord webhook's, or a like one on this machine."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise RulesError([f"webhook_url: not a URL — {_HINT}"]) from None
    if not url.isascii() or not url.isprintable() or " " in url or parts.username is not None or parts.fragment:
        raise RulesError([f"webhook_url: not a plain URL — {_HINT}"])
    if not _PATH.fullmatch(parts.path) or not _QUERY.fullmatch(parts.query):
        raise RulesError([f"webhook_url: not the form of a Discord webhook — {_HINT}"])
    discord = parts.scheme == "https" and host in _HOSTS and port in (None, 443)
    if not discord and not (parts.scheme == "http" and _is_loopback(host)):
        raise RulesError([f"webhook_url: not https at Discord, nor http at this machine — {_HINT}"])


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def secret_path(folder: Path, channel: Channel) -> Path:
    """The file of a channel's URL in the folder that Alertmanager sees as `/etc/alertmanager/secrets`.

    Raises RulesError where the channel's file is not directly in there.
    """
    seen = PurePosixPath(channel.webhook_url_file)
    if str(seen.parent) != SECRETS_FOLDER or seen.name.startswith("."):
        raise RulesError(
            [
                f"webhook_url: the channel {channel.name} reads its URL from {seen}, which is not in {SECRETS_FOLDER} —"
                " write the URL into that file by hand, and leave webhook_url out"
            ]
        )
    return folder / seen.name


def read_secret(path: Path) -> str | None:
    """The URL in a file, None where there is no file or nothing in it."""
    try:
        return path.read_text(encoding="utf-8").strip() or None
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError):
        raise RulesError([f"{path}: cannot be read — make it a text file of yours"]) from None


def write_secret(path: Path, url: str | None) -> None:
    """Write a URL into its file, in a folder that git ignores; None removes the file.

    A new file is 0644 where the folder keeps all others out, since Alertmanager runs as a user of its own, and 0600
    elsewhere; one that is there keeps its own mode.
    """
    if url is None:
        remove_file(path)
        return
    make_folder(path.parent)
    closed = not stat.S_IMODE(path.parent.stat().st_mode) & 0o077
    mode = stat.S_IMODE(path.stat().st_mode) if path.exists() else 0o644 if closed else 0o600
    replace_file(path, f"{url}\n".encode(), mode)


def make_folder(folder: Path) -> None:
    """Make the folder for secrets, mode 0700, with a `.gitignore` of its own; one that is there is left as it is."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    ignored = folder / ".gitignore"
    if not ignored.exists():
        replace_file(ignored, b"*\n", 0o644)
        sync_folder(folder.parent)
