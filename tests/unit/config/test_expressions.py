"""Expressions in SQL where a column may stand: one value of the row itself, and nothing else that SQL can do."""

import contextlib
import re
from pathlib import Path

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import ValidationError

from exporter.config import Config, ConfigError, load_config
from exporter.config.expressions import FUNCTIONS, Expression
from exporter.config.sources import SOURCES, source_settings, source_text
from exporter.figures import DURATIONS, SUMMED
from exporter.state.provenance import restored


def read(written: str, role: str = "latency") -> Expression:
    """The expression as the configuration has it."""
    found = getattr(Config.model_validate({"columns": {"log": {role: written}}}).columns.log, role)
    assert isinstance(found, Expression)
    return found


@pytest.mark.parametrize(
    ("written", "columns"),
    [
        ("=use_time * 1000", ["use_time"]),
        ("= quota / 500000.0 ", ["quota"]),
        ("=CASE WHEN type = 2 THEN quota END", ["type", "quota"]),
        ("=metadata #>> '{error_information,error_message}'", ["metadata"]),
        ("=concat_ws(' ', metadata -> 'a' ->> 'b', \"Über %s\")", ["metadata", "Über %s"]),
        ('=(extract(epoch FROM "endTime" - "startTime") * 1000)::bigint', ["endTime", "startTime"]),
        ("=extract(epoch FROM time)", ["time"]),
        ("=COALESCE(usage->>'input_tokens', usage->>'prompt_tokens')::double precision", ["usage"]),
        ("=a AT TIME ZONE 'UTC' - timestamp '2026-01-01'", ["a"]),
        ("=NOT done AND a IS NOT DISTINCT FROM b OR c IN (1, 2) AND d LIKE '50%'", ["done", "a", "b", "c", "d"]),
        ("=startTime", ["starttime"]),
        ('="a""b"', ['a"b']),
        ("=x = ANY('{1,2}') OR y ~* '^a;--b'", ["x", "y"]),
        ("='it''s; -- /* a text */ SELECT'", []),
        (
            "=a ILIKE '%not available right now%' OR b = 'snowed' OR c > '2026-01-01 12:00 Europe/Berlin'",
            ["a", "b", "c"],
        ),
        ("=NULL", []),
        ("=true", []),
    ],
)
def test_an_expression_is_taken_with_the_columns_that_it_reads(written: str, columns: list[str]) -> None:
    found = read(written)
    assert list(found.columns) == columns
    assert found.sql == written.removeprefix("=").strip()


@pytest.mark.parametrize(
    ("written", "says"),
    [
        ("=", "write an expression"),
        ("=a;", "semicolon"),
        ("=a; DROP TABLE logs", "semicolon"),
        ("=(SELECT 1)", "sub-select"),
        ("=(select cost from secrets limit 1)", "sub-select"),
        ("=EXISTS (SELECT FROM secrets)", "sub-select"),
        ("=a IN (SELECT b FROM secrets)", "sub-select"),
        ("=(TABLE secrets)", "sub-select"),
        ("=(VALUES (1))", "sub-select"),
        ("=(WITH x AS (DELETE FROM logs RETURNING 1) SELECT 1)", "sub-select"),
        ("=a) FROM secrets WHERE (true", "parenthesis"),
        ("=a -- comment", "--"),
        ("=a /* comment */", "/*"),
        ("=sum(a)", "no function"),
        ("=count(*)", "no function"),
        ("=row_number() OVER ()", "no function"),
        ("=generate_series(1, 3)", "no function"),
        ("=unnest(tags)", "no function"),
        ("=now()", "no function"),
        ("=random()", "did you mean"),
        ("=pg_sleep(1)", "no function"),
        ("=pg_read_file('/etc/passwd')", "no function"),
        ("=set_config('search_path', 'x', false)", "no function"),
        ("=nextval('s')", "no function"),
        ("=query_to_xml('DELETE FROM logs', true, true, '')", "no function"),
        ("=lo_import('/etc/passwd')", "no function"),
        ("=dblink('', '')", "no function"),
        ("=public.lower(a)", "no schema"),
        ("=logs.cost", "no schema"),
        ("=a OPERATOR(public.+) b", "no schema"),
        ("=a::public.money", "no schema"),
        ("='secrets'::regclass", "no type"),
        ("=CAST(a AS mine)", "no type"),
        ('=a::"text"', "without quotes"),
        ('="lower"(a)', "without quotes"),
        ("=user", '"user"'),
        ("=current_user", '"current_user"'),
        ("=session_user", '"session_user"'),
        ("=current_date", '"current_date"'),
        ("=a, b", "one value"),
        ("=a AS b", "no type"),
        ("=a b", "one value"),
        ("=*", "one value"),
        ("=(a, b)", "one value"),
        ("=E'x41'", "of another kind"),
        ("=U&'a'", "operator"),
        ("=B'1'", "of another kind"),
        ("='a\\'", "backslash"),
        ("='open", "quote"),
        ("=$1", "'$'"),
        ("=$$a$$", "'$'"),
        ("=:a", "':'"),
        ("=a +", "cannot be read"),
        ("=CASE WHEN a THEN", "cannot be read"),
        ("=a || '\ud800'", "half of a pair"),
        ('="\udfff"', "half of a pair"),
        ("=a COLLATE mine", "collate"),
        ("=a > 'now'", "'now' is another moment at each reading"),
        ("=a > 'Yesterday'", "another moment"),
        ("='now'::timestamptz", "another moment"),
        ("=date 'today'", "another moment"),
        ("=CAST(' tomorrow ' AS date)", "another moment"),
        ("=a > 'TODAY 12:00 Europe/Berlin'", "another moment"),
        ("=a BETWEEN 'epoch' AND 'today,utc'", "another moment"),
        ("=a ## b", "operator"),
        ("=(a).b", "no schema"),
        ("=" + "(" * 3000, "cannot be read"),
        ("=" + "a + " * 1500 + "a", "4000 characters"),
    ],
)
@pytest.mark.parametrize("role", ["cost", "where"])
def test_what_is_more_than_an_expression_is_refused_with_what_to_write(written: str, says: str, role: str) -> None:
    if role == "where":
        written = written.removeprefix("=")
    with pytest.raises(ValidationError) as caught:
        Config.model_validate({"columns": {"log": {role: written}}})
    assert says in str(caught.value)


ANYTHING = st.text(st.sampled_from("aA_1 '\"()[];:.,-*/$%\\=<>|#~?\n\tSELECT\u00fc\u00a0")) | st.text()


@given(ANYTHING)
@example("')")
@example("a[")
@example("A$")
def test_any_text_is_an_expression_or_refused_in_words(text: str) -> None:
    with contextlib.suppress(ValidationError):
        # outside of texts and names there is nothing that ends a statement, a comment or a parameter; a name may hold $
        outside = re.sub(r"'[^']*'|\"[^\"]*\"", "", read("=" + text).sql)
        assert not re.search(r"[;\\`]|(?<![\w\x80-\U0010ffff$])\$|--|/\*", outside)
        assert outside.count("(") == outside.count(")")


@pytest.mark.parametrize("role", ["time", "operation", "model", "success", "status"])
def test_what_a_log_must_have_cannot_be_lacking(role: str) -> None:
    with pytest.raises(ValidationError):
        Config.model_validate({"columns": {"log": {role: "=NULL"}}})


@pytest.mark.parametrize("role", [*SUMMED, *DURATIONS])
def test_every_number_may_be_lacking(role: str) -> None:
    config = Config.model_validate({"columns": {"log": {role: "=NULL"}}})
    assert config.columns.log.lacking == {role}


def test_the_time_is_a_column() -> None:
    with pytest.raises(ValidationError):
        Config.model_validate({"columns": {"log": {"time": "=to_timestamp(created_at)"}}})


@pytest.mark.parametrize(
    ("outcomes", "says"),
    [
        ({}, "succeeded"),
        ({"failed": ["x"]}, "succeeded"),
        ({"ok": ["x"], "failed": ["x"]}, "once"),
        ({"ok": [1, "1"]}, "once"),
        ({"ok": [True], "failed": ["true"]}, "once"),
        ({"ok": [None], "running": [None]}, "once"),
        ({"ok": [1.5]}, "a word"),
        ({"ok": [["x"]]}, "a word"),
        ({"ok": "x"}, ""),
        ({"succeeded": ["x"]}, ""),
    ],
)
def test_outcomes_that_cannot_be_meant_are_refused(outcomes: object, says: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Config.model_validate({"columns": {"log": {"status": "s", "outcomes": outcomes}}})
    assert says in str(caught.value)


def test_outcomes_of_a_boolean_are_refused() -> None:
    with pytest.raises(ValidationError):
        Config.model_validate({"columns": {"log": {"success": "s", "outcomes": {"ok": [True]}}}})


@pytest.mark.parametrize(
    "columns",
    [
        {"latency": "=use_time * 1000"},
        {"latency": "=NULL", "error_message": "=NULL"},
        {"outcomes": {"ok": ["success", 200, True, None], "failed": ["%s"]}},
        {"time_unit": "ms"},
        {"where": "type IN (2, 5) AND note <> '50%'"},
        {"model": "=COALESCE(\"größe\", 'ä')"},
    ],
)
def test_settings_of_any_log_carry_over_with_the_state(columns: dict[str, object]) -> None:
    wanted = Config.model_validate({"columns": {"log": columns}}).classification()
    kept = restored(wanted.model_dump(mode="json"))
    assert kept is not None
    assert (kept, kept.fingerprint) == (wanted, wanted.fingerprint)
    assert kept.log_columns.lacking == wanted.log_columns.lacking
    assert wanted.fingerprint != Config().classification().fingerprint


def test_a_state_of_before_carries_over() -> None:
    new = ("time_unit", "outcomes", "where")
    dump = Config().classification().model_dump(mode="json")
    dump["log_columns"] = {name: value for name, value in dump["log_columns"].items() if name not in new}
    kept = restored(dump)
    assert kept is not None
    assert kept.fingerprint == Config().classification().fingerprint


@pytest.mark.parametrize("source", SOURCES)
def test_a_source_is_a_configuration_that_can_be_read(source: str, tmp_path: Path) -> None:
    assert yaml.safe_load(source_text(source)) == source_settings(source)
    config = Config.model_validate({"source": source})
    assert config == Config.model_validate({"source": source, **source_settings(source)})
    written = Config.model_validate(source_settings(source))
    assert written.classification() == config.classification()


def test_what_is_written_comes_before_the_source() -> None:
    settings = {
        "source": "new-api",
        "open_window": "20m",
        "columns": {"log": {"operation": "model_name", "outcomes": {"ok": [2]}, "where": None}},
    }
    log = Config.model_validate(settings).columns.log
    assert (log.operation, log.user, log.where) == ("model_name", "username", None)
    assert log.outcomes is not None
    assert log.outcomes.by_word == {"2": "ok"}


@pytest.mark.parametrize("empty", ["columns:\n", "columns:\n  log:\n", "tables:\n"])
def test_an_empty_section_leaves_the_source_as_it_is(empty: str, tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(f"source: litellm\n{empty}")
    assert load_config(path, {}) == Config.model_validate({"source": "litellm"})


def test_an_unknown_source_is_named_with_those_that_are_known(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("source: lite-llm\n")
    with pytest.raises(ConfigError) as caught:
        load_config(path, {})
    assert ":1:9: source: 'lite-llm' — write one of 'helix', 'litellm'" in str(caught.value)


def test_no_function_is_named_like_a_keyword() -> None:
    assert all(name.isidentifier() for name in FUNCTIONS)
