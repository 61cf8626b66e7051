"""The findings of checks, and how they are printed."""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import TextIO

from exporter.humanize import printable
from exporter.progress import working

_MARK_WIDTH, _NAME_WIDTH = 6, 30
_INDENT = " " * (_MARK_WIDTH + 2)


class Level(Enum):
    """How a check ended; the value is the mark that is printed."""

    OK = "ok"
    WARN = "warn"
    FAIL = "FAIL"
    SKIPPED = "-"


@dataclass(frozen=True)
class Finding:
    """One line of the report. `hint` is for a warning or a failure: SQL or a setting, one statement for each line.

    `checks` is the number of checks that it stands for.
    """

    name: str
    level: Level
    detail: str
    hint: str = ""
    checks: int = 1


def ok(name: str, detail: str) -> Finding:
    """A check that passed."""
    return Finding(name, Level.OK, detail)


def warn(name: str, detail: str, hint: str) -> Finding:
    """Something that may be intended."""
    return Finding(name, Level.WARN, detail, hint)


def fail(name: str, detail: str, hint: str) -> Finding:
    """Something that prevents the exporter from working."""
    return Finding(name, Level.FAIL, detail, hint)


def skipped(name: str, needs: str) -> Finding:
    """A check that did not run, because an earlier one failed."""
    return Finding(name, Level.SKIPPED, f"skipped: needs {needs}")


def rest_skipped(number: int, needs: str) -> Finding:
    """All checks that are left, which did not run, because an earlier one failed."""
    return Finding(f"{number} other checks", Level.SKIPPED, f"skipped: needs {needs}", checks=number)


def failed(findings: Iterable[Finding]) -> bool:
    """Whether any of the findings is a failure."""
    return any(finding.level is Level.FAIL for finding in findings)


def render(finding: Finding) -> str:
    """The finding's line, and its hint indented below; control characters are replaced."""
    line = f"{finding.level.value:<{_MARK_WIDTH}}{finding.name:<{_NAME_WIDTH}}{finding.detail}"
    return "\n".join([printable(line), *(f"{_INDENT}{printable(part)}" for part in finding.hint.splitlines())])


def summary(findings: Iterable[Finding]) -> str:
    """The number of findings at each level."""
    counts: Counter[Level] = Counter()
    for finding in findings:
        counts[finding.level] += finding.checks
    return (
        f"{counts[Level.OK]} passed, {counts[Level.WARN]} to look at, {counts[Level.FAIL]} failed, "
        f"{counts[Level.SKIPPED]} skipped"
    )


def report(findings: Iterable[Finding], out: TextIO, *, as_json: bool = False) -> int:
    """Print findings as they come and their summary, or all as JSON in the end.

    Returns the exit code: 1 if one is a failure, else 0.
    """
    seen: list[Finding] = []
    if as_json:
        seen += findings
        print(as_text_json(seen), file=out)
        return 1 if failed(seen) else 0
    with working("checking", out) as say:
        for finding in findings:
            seen.append(finding)
            say(_for(out, render(finding)))
    print(f"\n{summary(seen)}", file=out)
    return 1 if failed(seen) else 0


def as_text_json(findings: Sequence[Finding]) -> str:
    """A JSON object: `checks` with `name`, `status`, `message` and `hint` (null where there is none), and `summary`.

    `status` is ok, warn, fail or skipped; `summary` has the number of checks with each: one entry can stand for
    several that were skipped.
    """
    checks = [
        {"name": each.name, "status": _status(each.level), "message": each.detail, "hint": each.hint or None}
        for each in findings
    ]
    counts = {_status(level): sum(each.checks for each in findings if each.level is level) for level in Level}
    return json.dumps({"checks": checks, "summary": counts}, indent=2)


def _status(level: Level) -> str:
    return level.name.lower()


def _for(out: TextIO, text: str) -> str:
    """The text as the output's encoding can hold it."""
    encoding = getattr(out, "encoding", None) or "utf-8"
    return text.encode(encoding, "replace").decode(encoding)
