"""What the alerts did, asked of a real Prometheus."""

import time
from pathlib import Path

import pytest
import yaml

from exporter.digest.fired import read_fired
from exporter.verify.web import Part
from tests.support.programs import prometheus_with, wait_for

pytestmark = pytest.mark.slow

RULES = (
    ("fires", {"channel": "discord", "severity": "critical"}),
    ("fires", {"channel": "discord", "severity": "critical", "user": "another series"}),
    ("of others", {"severity": "critical"}),
    ("heartbeat", {"channel": "discord", "severity": "none"}),
)


def test_alerts_of_this_project_that_fire_are_told_once(tmp_path: Path) -> None:
    folder = tmp_path / "prometheus"
    folder.mkdir()
    rules = [{"alert": name, "expr": "vector(1)", "labels": labels} for name, labels in RULES]
    (folder / "rules.yml").write_text(yaml.safe_dump({"groups": [{"name": "g", "interval": "1s", "rules": rules}]}))
    (folder / "prometheus.yml").write_text(yaml.safe_dump({"rule_files": ["/etc/prometheus/rules.yml"]}))
    with prometheus_with(folder) as server:
        part = Part(server.url)
        wait_for(lambda: len(part.json("/api/v1/query", {"query": "ALERTS"})["data"]["result"]) == len(RULES), 60)
        # by whole seconds: of an alert of this second nothing is known yet
        (found,) = wait_for(lambda: read_fired(part, int(time.time())), 60)
    assert (found.name, found.severity, found.times, found.still) == ("fires", "critical", 1, True)
