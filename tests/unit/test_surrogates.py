"""Escapes of surrogates, as JSON and JavaScript's YAML write a character beyond U+FFFF, wherever text is read."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alert_rules.adding.adding import add_alert
from alert_rules.adding.changing import Places
from alert_rules.language.channels import Channel, Channels, load_channels
from alert_rules.language.loading import parse_alerts
from alert_rules.model.errors import RulesError
from exporter.config import ConfigError, load_config
from exporter.web.config import read_web_file
from exporter.yaml_source import read_document
from tests.support.problems import without_column

PAIR, HALF = r"\ud83d\ude00", r"\ud83d"
CHANNELS = Channels((Channel("discord", "/run/secrets/discord"),))
CONFIG = """
models:
  timeouts: {{"gpt {0}": 5}}
  free: ["free {0}"]
  aliases:
    "loose {0}": "gpt {0}"
expected_operations: ["op {0}"]
error_classes:
  - {{class: rate_limit, patterns: ["[{0}]"]}}
"""
ALERTS = """
alerts:
  - name: "spend {0}"
    condition: daily_spend > $200
    channel: discord
    severity: warning
    summary: "too much {0}"
"""


def configured(folder: Path, text: str) -> str:
    """What is wrong with a configuration, or nothing."""
    path = folder / "config.yaml"
    path.write_text(text, encoding="utf-8")
    try:
        load_config(path, {})
    except ConfigError as error:
        return "\n".join(map(without_column, error.problems))
    return ""


def test_pairs_in_the_configuration_are_one_character(tmp_path: Path) -> None:
    assert configured(tmp_path, CONFIG.format(PAIR)) == ""
    config = load_config(tmp_path / "config.yaml", {})
    assert config.models.timeouts == {"gpt 😀": 5}
    assert config.models.free == ("free 😀",)
    assert config.models.aliases == {"loose 😀": "gpt 😀"}
    assert config.expected_operations == ("op 😀",)
    assert config.error_classes[0].patterns == ("[😀]",)


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ('models:\n  timeouts: {"gpt \\ud83d": 5}\n', "config.yaml:2: models.timeouts: "),
        ('models:\n  free:\n    - "\\ude00"\n', "config.yaml:3: models.free[0]: "),
        ('models:\n  aliases:\n    gpt: "\\ude00\\ud83d"\n', "config.yaml:3: models.aliases.gpt: "),
        ('\n\nstate_dir: "/x/\\udcff"\n', "config.yaml:3: state_dir: "),
        ('error_classes:\n  - class: auth\n    patterns: ["\\ud83dx\\ude00"]\n', "error_classes[0].patterns[0]: "),
        ('database: {url: "postgresql://u:S3CRET\\udfff@h/db"}\n', "config.yaml:1: database.url: "),
        ('"\\ud83d": 1\n', "config.yaml:1: "),
    ],
)
def test_half_a_pair_in_the_configuration_is_told_with_its_line_and_setting(
    tmp_path: Path, text: str, where: str
) -> None:
    said = configured(tmp_path, text)
    assert where in said, said
    assert "a surrogate without its other half" in said
    assert "S3CRET" not in said
    said.encode()  # and can be printed


def test_alerts_and_channels(tmp_path: Path) -> None:
    alerts = parse_alerts(ALERTS.format(PAIR).encode(), "alerts.yaml")
    assert alerts.problems == ()
    assert (alerts.specs[0].name, alerts.specs[0].summary) == ("spend 😀", "too much 😀")
    problems = "\n".join(map(str, parse_alerts(ALERTS.format(HALF).encode(), "alerts.yaml").problems))
    assert "alerts.yaml:3:" in problems
    assert "alerts.yaml:7:" in problems
    problems.encode()
    channels = 'channels:\n  ops: {{type: discord, username: "AI {0}"}}\n'
    file = tmp_path / "channels.yaml"
    file.write_text(channels.format(PAIR))
    assert load_channels(file).channels[0].username == "AI 😀"
    file.write_text(channels.format(HALF))
    with pytest.raises(RulesError, match=r"2:\d+: .*a surrogate without its other half") as raised:
        load_channels(file)
    str(raised.value).encode()


def test_the_web_configuration(tmp_path: Path) -> None:
    file = tmp_path / "web.yaml"
    file.write_text(
        'basic_auth_users:\n  "ann \\ud83d": "$2b$10$abcdefghijklmnopqrstuuE0zNn3yN3oM7Z2cQn1YtY0u0cQ0cQ0c"\n'
    )
    with pytest.raises(ConfigError, match=r"web\.yaml:2:3: .*a surrogate without its other half") as raised:
        read_web_file(file)
    str(raised.value).encode()


@pytest.mark.parametrize("field", ["name", "type", "severity", "summary", "channel", "window", "for", "webhook_url"])
def test_a_request_with_half_a_pair_is_refused(tmp_path: Path, field: str) -> None:
    alerts = tmp_path / "alerts.yaml"
    alerts.write_text("alerts: []\n")
    request = {"name": "a", "type": "daily_spend", "threshold_usd": 100, "channel": "discord", field: "x\ud83d"}
    for text in (json.dumps(request), json.dumps({**request, field: "fine", "x\udcff": 1})):
        with pytest.raises(RulesError) as raised:
            add_alert(text, Places(alerts, tmp_path / "secrets"), CHANNELS, lambda: None)
        assert raised.value.problems
        str(raised.value).encode()
    assert alerts.read_text() == "alerts: []\n"


def test_a_request_with_a_pair_and_a_byte_order_mark(tmp_path: Path) -> None:
    alerts = tmp_path / "alerts.yaml"
    alerts.write_text("alerts:\n")
    request = {"name": "a 😀", "type": "daily_spend", "threshold_usd": 100, "channel": "discord", "summary": "😀 b"}
    text = "\ufeff" + json.dumps(request)
    assert PAIR in text
    add_alert(text, Places(alerts, tmp_path / "secrets"), CHANNELS, lambda: None)
    (spec,) = parse_alerts(alerts.read_bytes(), "alerts.yaml").specs.values()
    assert (spec.name, spec.summary) == ("a 😀", "😀 b")


@given(st.text(st.characters(codec="utf-8", exclude_characters="\x7f"), max_size=40))
def test_a_text_with_jsons_escapes_is_that_text(text: str) -> None:
    document = read_document(json.dumps({text: [text]}).encode())
    assert not document.flaws
    assert document.data == {text: [text]}


@given(st.text(st.characters(categories=("L", "Cs")), max_size=10))
def test_no_surrogate_is_ever_data(text: str) -> None:
    document = read_document(json.dumps({text: [text]}).encode())
    str(document.data).encode()
    try:
        joined = text.encode("utf-16", "surrogatepass").decode("utf-16")
    except UnicodeDecodeError:
        assert document.flaws
    else:
        assert not document.flaws
        assert document.data == {joined: [joined]}
