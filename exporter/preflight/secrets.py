"""Check that a folder of secrets, as deploy/make-secrets.sh makes it, is not half the demo's and half one's own."""

import re
from pathlib import Path

from exporter.findings import Finding, ok, warn
from exporter.humanize import listing

SECRETS = "secrets"
FILES = ("database_url", "grafana_database_password", "postgres_exporter_password", "discord_webhook_url")
"""The files that depend on the database or the channel; the others serve the demo and one's own database alike."""

_WRITTEN_BY_DEMO = ".demo"
_DEMO_HOSTS = re.compile(rb"@postgres:5432/demo|//discord-receiver:")
_PLACEHOLDERS = re.compile(rb"\b(PASSWORD|HOST|PORT|DATABASE)\b")


def check_secrets(folder: Path) -> list[Finding]:
    """Check a folder; nothing if there is none, or if its files cannot be read."""
    try:
        contents = {name: (folder / name).read_bytes() for name in FILES if (folder / name).exists()}
        # the name and checksum of each file that the demo wrote
        marks = folder / _WRITTEN_BY_DEMO
        written = set(marks.read_text().splitlines()) if marks.exists() else set()
    except (OSError, UnicodeError):
        return []
    if not contents:
        return []
    unwritten = [name for name in contents if name.endswith("_url") and _PLACEHOLDERS.search(contents[name])]
    if unwritten:
        return [warn(SECRETS, f"placeholders are left in {_paths(folder, unwritten)}", "write what they stand for")]
    demo = [
        name
        for name, content in contents.items()
        if f"{name} {checksum(content)} {len(content)}" in written or _DEMO_HOSTS.search(content)
    ]
    if demo and len(demo) < len(contents):
        hint = "write your own into them, as into the others: deploy/make-secrets.sh says what each holds"
        return [warn(SECRETS, f"the demo's values are left in {_paths(folder, demo)}", hint)]
    return [ok(SECRETS, f"{folder} holds {'the values of the demo' if demo else 'your own values'}")]


def checksum(content: bytes) -> int:
    """The checksum that POSIX' `cksum` prints."""
    size, crc = len(content), 0
    tail = size.to_bytes((size.bit_length() + 7) // 8, "little")
    for byte in content + tail:
        crc ^= byte << 24
        for _ in range(8):
            crc = (crc << 1 ^ 0x04C11DB7 if crc & 0x80000000 else crc << 1) & 0xFFFFFFFF
    return crc ^ 0xFFFFFFFF


def _paths(folder: Path, names: list[str]) -> str:
    return listing([str(folder / name) for name in names])
