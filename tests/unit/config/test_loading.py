"""The configuration file: what it accepts, and what it says about everything else."""

from decimal import Decimal
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from exporter.config import (
    ENVIRONMENT_PATH,
    Config,
    ConfigError,
    QualifiedName,
    load_config,
    read_hmac_key,
)
from exporter.diagnostics import Form, check, shown
from exporter.yaml_source import read_document
from tests.support import ROOT
from tests.support.problems import without_column

EXAMPLE = ROOT / "config.example.yaml"


def load(tmp_path: Path, text: str) -> Config:
    path = tmp_path / "config.yaml"
    path.write_text(text, encoding="utf-8")
    return load_config(path, {})


def problems(tmp_path: Path, text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, text)
    return [without_column(problem.removeprefix(f"{tmp_path}/")) for problem in caught.value.problems]


def settings(model: type[BaseModel], place: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    found: list[tuple[str, ...]] = []
    for name, field in model.model_fields.items():
        path = (*place, field.alias or name)
        inner = field.annotation
        section = isinstance(inner, type) and issubclass(inner, BaseModel)
        found += settings(inner, path) if section else [path]  # type: ignore[arg-type]
    return found


def test_example_is_the_defaults() -> None:
    assert load_config(EXAMPLE, {}) == Config()


def test_example_names_every_setting() -> None:
    data = yaml.safe_load(EXAMPLE.read_text(encoding="utf-8"))
    for path in settings(Config):
        section = data
        for name in path[:-1]:
            section = section[name]
        assert path[-1] in section, ".".join(path)
    assert set(data["error_classes"][0]) == {"class", "patterns"}


@pytest.mark.parametrize("path", settings(Config), ids=".".join)
def test_a_value_of_the_wrong_kind_is_told_for_each_setting(tmp_path: Path, path: tuple[str, ...]) -> None:
    text = "".join(f"{'  ' * depth}{name}:\n" for depth, name in enumerate(path))
    found = problems(tmp_path, text + "  " * len(path) + "- [[]]\n")
    # Inside a list it is the item that is wrong, and its line is the next one.
    assert found[0].startswith((f"config.yaml:{len(path)}: {'.'.join(path)}: ", f"config.yaml:{len(path) + 1}: "))
    assert " — write " in found[0]


def test_without_a_file_all_is_default() -> None:
    assert load_config(None, {}) == Config()


def test_the_environment_can_name_the_file(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("max_series: 7")
    assert load_config(None, {ENVIRONMENT_PATH: str(tmp_path / "c.yaml")}).max_series == 7


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nothing\.yaml: No such file"):
        load_config(tmp_path / "nothing.yaml", {})


@pytest.mark.parametrize("text", ["", "# only a comment\n", "web:\nscrape:\n  # timeout: 3s\n", "\ufeff---\n"])
def test_empty_files_and_sections_are_the_defaults(tmp_path: Path, text: str) -> None:
    assert load(tmp_path, text) == Config()


def test_settings_arrive(tmp_path: Path) -> None:
    config = load(
        tmp_path,
        """
        database: {url: "postgresql://u:p@h/db", connect_timeout: 3}
        tables: {log: public.ai_operation_log, approvals: null, budgets: '"My Schema"."t.1"'}
        columns: {log: {time: '"createdAt"', cost: Cost}}
        daily_limit_usd: 200.10
        monthly_limit_usd: "4500"
        models: {aliases: {deepseek: deepseek-v3.2}, timeouts: {4.5: 500s, x: 1m}, free: [llama-3]}
        error_classes: [{class: timeout, patterns: [slow]}]
        expected_operations: []
        users: {mode: off}
        open_window: 10m
        web: {listen_address: "[::1]:0"}
        budget_time_zone: Asia/Kathmandu
        """,
    )
    assert config.database.url == "postgresql://u:p@h/db"
    assert config.database.connect_timeout == 3.0
    assert config.tables.log == QualifiedName("public", "ai_operation_log")
    assert config.tables.approvals is None
    assert config.tables.routes == QualifiedName(None, "ai_model_routes")
    assert config.tables.budgets == QualifiedName("My Schema", "t.1")
    assert (config.columns.log.time, config.columns.log.cost) == ("createdAt", "Cost")
    assert (config.daily_limit_usd, config.monthly_limit_usd) == (Decimal("200.1"), Decimal(4500))
    assert config.models.timeouts == {"4.5": 500.0, "x": 60.0}
    assert [(c.name, c.patterns) for c in config.error_classes] == [("timeout", ("slow",))]
    assert config.users.mode == "off"
    assert config.open_window_seconds == 600.0
    assert config.web.address == ("::1", 0)


def test_every_problem_is_said_at_once_with_its_line(tmp_path: Path) -> None:
    found = problems(
        tmp_path,
        "web:\n"
        "  listen_address: localhost\n"
        "database:\n"
        "  connect_timeot: 3s\n"
        "tables: {log: , routes: a.b.c}\n"
        "users:\n"
        "  top: 1.5\n"
        "  mode: on\n"
        "  top: 3\n"
        "log_time_zone: Europe/Berln\n"
        "zero_hold: soon\n"
        "error_classes:\n"
        "  - class: other\n"
        "    patterns: [3]\n"
        "  - patterns: []\n"
        "daily_limit_usd: -3\n"
        "scrape: 5\n",
    )
    table = 'write a table as name or schema.name; unusual ones in double quotes: "a.b"."t"'
    classes = "'timeout', 'rate_limit', 'auth', 'context_length', 'content_filter', 'provider' or 'network'"
    assert found == [
        "config.yaml:2: web.listen_address: 'localhost' — write host:port, like 127.0.0.1:9867, [::1]:9867, "
        "or :9867 for every address",
        "config.yaml:4: database.connect_timeot: no such setting — did you mean connect_timeout?",
        f"config.yaml:5: tables.log: nothing — {table}",
        f"config.yaml:5: tables.routes: 'a.b.c' — {table}",
        "config.yaml:7: users.top: 1.5 (a number) — write a whole number",
        "config.yaml:8: users.mode: 'on' — write one of 'off', 'id' or 'hmac'",
        "config.yaml:9: users.top: the setting a second time — keep one; the first is in line 7",
        "config.yaml:10: log_time_zone: 'Europe/Berln' — write an IANA time zone; did you mean Europe/Berlin?",
        "config.yaml:11: zero_hold: 'soon' — write a duration like 500ms, 10s, 5m, 48h or 2d, or a number of seconds",
        f"config.yaml:13: error_classes[0].class: 'other' — write one of {classes}",
        "config.yaml:14: error_classes[0].patterns[0]: 3 (a number) — write a text; in quotes if it looks "
        "like a number",
        "config.yaml:15: error_classes[1].class: not set — set it",
        "config.yaml:15: error_classes[1].patterns: a list — write at least one item",
        "config.yaml:16: daily_limit_usd: -3 (a number) — write an amount above 0, or leave the setting out "
        "for no limit",
        "config.yaml:17: scrape: 5 (a number) — write a mapping, one 'name: value' a line",
    ]


@pytest.mark.parametrize(
    ("text", "place", "found"),
    [
        # a value, without its quotes
        ("users:\n  top:   1.5\n", "2:10", "users.top: 1.5"),
        ("database: {connect_timeout: 'soon'}\n", "1:30", "database.connect_timeout: 'soon'"),
        ("expected_operations:\n  - ' '\n", "2:6", "expected_operations[0]: ' '"),
        ("max_series:\n  0\n", "1:1", "max_series: 0"),
        ("tables: {log: , routes: r}\n", "1:14", "tables.log: nothing"),
        # the name where the value is on another line, and where the name itself is wrong
        ("web:\n  listen_address: [a]\n", "2:19", "web.listen_address: a list"),
        ("web:\n  listen_address:\n    - a\n", "2:3", "web.listen_address: a list"),
        ("users: {tops: 3}\n", "1:9", "users.tops: no such setting"),
        ("users: {top: 3, top: 3}\n", "1:17", "users.top: the setting a second time"),
        ("users:\n  ? [a]\n  : 1\n", "2:5", "users: a key that is not a name"),
        ("models:\n  timeouts: {' ': 3s}\n", "2:14", "models.timeouts.(…): ' ' — write"),
        # what is not there, at what would hold it
        ("error_classes:\n  - patterns: [a]\n", "2:5", "error_classes[0].class: not set"),
        ("web: {}\nusers: {mode: hmac}\n", "2:1", "users.hmac_key_file: not set"),
        # the text
        ("max_series: !!int x\n", "1:13", "max_series: a tag"),
        ("web: @x\n", "1:6", "a character that cannot begin a value"),
        ("- a\n", "1:1", "a list"),
    ],
)
def test_a_problem_is_told_with_line_and_column(tmp_path: Path, text: str, place: str, found: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, text)
    assert str(caught.value).startswith(f"{tmp_path}/config.yaml:{place}: {found}")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("- a\n", ":1: a list — write a mapping"),
        ("models: {aliases: }", "models.aliases: nothing — write a mapping, one 'name: value' a line, or {}"),
        ("models: {free: x}", "models.free: 'x' — write a list, one '- item' a line, or [] for none"),
        ("models: {aliases: {a: b, b: c}}", "models.aliases: a mapping — write the name in the log"),
        ("models: {aliases: {a: b}, timeouts: {a: 3s}}", "models.timeouts: a mapping — write 'b'"),
        ("models: {aliases: {a: b}, free: [a]}", "models.free: a list — write 'b'"),
        ("models: {timeouts: {x: 3x}}", "models.timeouts.x: '3x' — write a duration"),
        ("models: {default_timeout: 0}", "0 (a number) — write a duration from 1s to 1h"),
        ("max_series: 0", "max_series: 0 (a number) — write 1 or more"),
        ("max_series: 99999", "write 10000 or less"),
        ("max_series: true", "max_series: true — write a whole number"),
        ("max_series: 010", "max_series: '010' — write a whole number"),
        ("daily_limit_usd: true", "write an amount in dollars"),
        ("daily_limit_usd: .nan", "write an amount in dollars"),
        ("daily_limit_usd: 'NaN'", "write an amount in dollars"),
        ("daily_limit_usd: 1e300", "write an amount above 0"),
        ("daily_limit_usd: 1e400", "write an amount"),
        ("daily_limit_usd: .inf", "write an amount in dollars"),
        ("daily_limit_usd: 1e-320", "write an amount of at least 0.000001"),
        ("monthly_limit_usd: '1e-400'", "write an amount of at least 0.000001"),
        ("zero_hold: -1", "write a duration"),
        ("zero_hold: .inf", "write a duration"),
        ("zero_hold: true", "write a duration"),
        ("horizon: 3h10m", "write a duration like"),
        ("horizon: 3d", "horizon: '3d' — write a duration from 2h to 48h"),
        ("horizon: 130m", "horizon: '130m' — write a multiple of 15m"),
        ("horizon: 2h", "horizon: '2h' — write at least 135m: two hours more than the open window"),
        ("horizon: 3h\nopen_window: 1h1s", ":2: open_window: '1h1s' — write a duration like"),
        ("open_window: 30s", "write a duration from 1m to 1h"),
        ("database: {max_replica_lag: 0s}", "write a duration from 1s to 1h"),
        (
            "open_window: 31m\ndatabase:\n  max_replica_lag: 40m",
            ":3: database.max_replica_lag: '40m' — write at most 30m: an hour and a minute less the open window",
        ),
        ("tables: {accept_unproven: [logs]}", "tables.accept_unproven"),
        *(
            (
                f"{others}\ntables:\n  group_budgets: app.teams",
                "group_budgets: 'app.teams' — name the column with the group, columns.log.group, or write null",
            )
            for others in (
                "users: {top: 3}",
                "columns: {log: {group: '=NULL'}}",
                "columns: {log: {group: null}, group_budgets: {group: team}}",
                "source: one-api",
                "source: litellm\ncolumns: {log: {group: '=NULL'}}",
                "groups: {daily_limits: {red: 5}}",
            )
        ),
        ("scrape: {timeout: 2s, timeout_offset: 2s}", "timeout_offset: '2s' — write less than timeout (2s)"),
        ("scrape: {max_timeout: 5s}", "scrape.max_timeout: '5s' — write at least timeout (10s)"),
        ("users: {mode: hmac}", ":1: users.hmac_key_file: not set — write the path of a file"),
        ("users: {mode: hmac, hmac_key_file: /nonexistent}", "'/nonexistent' — name a file that can be read"),
        ("web: {listen_address: '127.0.0.1:99999'}", "write host:port"),
        ("web: {config_file: ''}", "web.config_file: '' — write a path"),
        ("state_dir: 5", "state_dir: 5 (a number) — write a path; in quotes"),
        ("budget_time_zone: ../../etc/passwd", "write an IANA time zone"),
        ("budget_time_zone: America", "write an IANA time zone"),
        ("log_level: INFO", "write one of 'debug', 'info', 'warning' or 'error'"),
        ("columns: {log: {cost: a.b}}", "columns.log.cost: 'a.b' — write one column's name"),
        ("columns: {log: {coast: a}}", "did you mean cost?"),
        ("columns: {budgets: {zzz: a}}", "known here: user, daily_limit, monthly_limit, warning_threshold"),
        ("error_classes: [{class: auth, patterns: [a], x: 1}]", "error_classes[0].x: no such setting — known"),
        ("error_classes: [{class: auth, patterns: ['a|']}]", "a regular expression without an empty branch"),
        ("error_classes: [{class: auth, patterns: ['']}]", "an empty one would match every message"),
        ("expected_operations: [' ']", "expected_operations[0]: ' ' — write a text that is not empty"),
        ("log_level: !!binary aGk=", "log_level: a bytes — write one of"),
        ("? [a]\n: 1\n", "a key that is not a name — write name: value"),
    ],
)
def test_a_wrong_value_is_answered_with_what_to_write(tmp_path: Path, text: str, said: str) -> None:
    assert said in "\n".join(problems(tmp_path, text))


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("a: 1\nb: 'x\n", 2, "a quote that is not closed"),
        ("web:\n\tlisten_address: x\n", 2, "a tab"),
        ("web:\n  listen_address: a: b\n", 2, "a colon where no key can be"),
        ("web: {}\n---\nweb: {}\n", 2, "a second document"),
        ("web: @x\n", 1, "a character that cannot begin a value"),
        ("database:\n  url: *pass\n", 2, "a value that begins with *"),
        ('state_dir: "\\q"\n', 1, "a backslash in double quotes"),
        ("web:\n  a: 1\n b: 2\n", 3, "a line that is indented unlike its neighbours"),
        ("web: {}\njust words\n", 2, "a line without a colon"),
        ("a: 1\nb: \x07\n", 2, "a control character"),
        ("web: !!python/object:os.system x\n", 1, "a tag (!…) that does not fit"),
        ("max_series: !!int x\n", 1, "a tag (!…) that does not fit"),
    ],
)
def test_broken_yaml_is_told_by_line(tmp_path: Path, text: str, line: int, said: str) -> None:
    found = problems(tmp_path, text)
    assert any(problem.startswith(f"config.yaml:{line}: ") and said in problem for problem in found), found


def test_a_file_in_another_encoding_is_told_by_line(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_bytes(b"a: 1\nstate_dir: caf\xe9\n")
    with pytest.raises(ConfigError, match=r"config\.yaml:2:15: a byte that is not UTF-8"):
        load_config(tmp_path / "config.yaml", {})


@pytest.mark.parametrize(
    "text",
    [
        "database: postgresql://user:S3CRET@h/db\n",
        "database: {url: [postgresql://user:S3CRET@h/db]}\n",
        "database: {url: 5, usr: postgresql://user:S3CRET@h/db}\n",
        "database: {postgresql://user:S3CRET@h/db: }\n",
        "database:\n  url: *S3CRET\n",
        "database:\n  url: &S3CRET\n  url: x\n",
        "database:\n  url: !S3CRET x\n",
        "database:\n  url: 'S3CRET\n",
        "database:\n  url: @S3CRET\n",
        "database:\n  url: %S3CRET: x\n",
        "database:\n  url: [S3CRET\n",
        "database:\n  url: host=x password: S3CRET\n",
        "database: {url: a, url_file: password=S3CRET}\n",
        "tables: {log: 'postgresql://user:S3CRET@h/db'}\n",
        "state_dir: ['password=S3CRET']\n",
        'database: {url: "S3CRET\\x07"}\n',
        'database: "Host=h;Pwd=S3CRET"\n',
        "database: S3CRET\n",
        'database: {connect_timeout: "Host=h;Pwd=S3CRET"}\n',
        "database: {connect_timeout: 'me:S3CRET'}\n",
        'tables: {log: "Host=h;Pwd=S3CRET"}\n',
        'log_level: "Uid=u;Pwd=S3CRET"\n',
        "database:\n  Host=h;Pwd=S3CRET\n",
        "database:\n  Host=h;Pwd=S3CRET: x\n",
        "Host=h;Pwd=S3CRET\n",
        "database: {url: S3CRET, url_file: x}\n",
    ],
)
def test_no_problem_repeats_a_secret(tmp_path: Path, text: str) -> None:
    assert "S3CRET" not in "\n".join(problems(tmp_path, text))


def test_the_url_is_not_in_the_representation(tmp_path: Path) -> None:
    config = load(tmp_path, "database: {url: 'postgresql://u:S3CRET@h/db'}")
    assert "S3CRET" not in repr(config)
    assert "S3CRET" not in str(config)


def test_the_hash_key_has_sixteen_bytes(tmp_path: Path) -> None:
    key = tmp_path / "key"
    text = f"users: {{mode: hmac, hmac_key_file: {key}}}"
    key.write_bytes(b"123456789012345\n")
    assert "at least 16 random bytes into the file, not 15" in problems(tmp_path, text)[0]
    key.write_bytes(b"1234567890123456\r\n")
    assert read_hmac_key(load(tmp_path, text)) == b"1234567890123456"
    with pytest.raises(ConfigError, match=r"set users\.hmac_key_file"):
        read_hmac_key(Config())


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_any_bytes_are_data_or_a_flaw(content: bytes) -> None:
    document = read_document(content)
    assert all(flaw.line >= 1 and flaw.hint for flaw in document.flaws)


def test_deep_nesting_is_a_flaw_and_no_crash() -> None:
    assert read_document(b"[" * 5000).flaws


WORDS = st.sampled_from(
    [*("users", "web", "top", "models", "free", "x", "3", "é"), *(": ", ":", "\n", "\n  ", "- ", *"[]{}'?\t")]
)


@given(st.lists(WORDS, max_size=12).map("".join))
def test_every_problem_has_a_place_within_the_text(text: str) -> None:
    _, found = check("f", read_document(text.encode()), Form(Config, lambda _, value: shown(value)))
    lines = [*text.split("\n"), ""]
    for problem in found:
        assert 1 <= problem.line <= len(lines), problem
        assert 1 <= problem.column <= len(lines[problem.line - 1]) + 1, problem
        assert "\n" not in str(problem)
