"""`config show`: every setting that is in force, where it comes from, and no secret."""

import io
import json
import tempfile
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.cli import main
from exporter.config import Config, ConfigError, load_config, read_config
from exporter.config.checking import CheckedFile
from exporter.reports.settings import HIDDEN, print_settings
from exporter.yaml_source import Document
from tests.unit.database.test_connection_secrets import FORMS, SECRETS, places, written

pytestmark = pytest.mark.usefixtures("no_settings_from_outside")


def shown(file: CheckedFile[Config] | None, environ: dict[str, str], *, as_json: bool = False) -> str:
    out = io.StringIO()
    print_settings(file, environ, out, as_json=as_json)
    return out.getvalue()


def of(config: Config) -> CheckedFile[Config]:
    return CheckedFile(Path("config.yaml"), config, Document())


NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8).filter(lambda text: text.strip())
CONFIGS: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {},
    optional={
        "daily_limit_usd": st.decimals("0.01", "1000", places=2).map(float),
        "horizon": st.sampled_from(["24h", "36h", 172800]),
        "expected_operations": st.lists(NAMES, max_size=3),
        "models": st.fixed_dictionaries(
            {"timeouts": st.dictionaries(NAMES, st.sampled_from(["90s", "2m"]), max_size=2)}
        ),
        "error_classes": st.lists(
            st.fixed_dictionaries({"class": st.just("timeout"), "patterns": st.lists(NAMES, min_size=1, max_size=2)}),
            max_size=2,
        ),
        "max_series": st.integers(1, 10_000),
        "tables": st.just({"routes": None, "log": '"My Schema"."t"'}),
        "log_format": st.sampled_from(["logfmt", "json"]),
    },
)


@given(CONFIGS)
def test_what_is_shown_can_be_loaded_again_and_is_the_same(written: dict[str, Any]) -> None:
    try:
        config = Config.model_validate(written)
    except ValueError:
        return
    text = shown(of(config), {})
    if HIDDEN not in text:
        with tempfile.NamedTemporaryFile("w", suffix=".yaml", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            assert load_config(Path(file.name), {}) == config
    assert len(yaml.safe_load(text)) == len(Config.model_fields)


@pytest.mark.parametrize("form", FORMS)
@settings(deadline=None, max_examples=2)
@given(secret=SECRETS)
def test_no_secret_is_shown_wherever_it_was_written(form: str, secret: str) -> None:
    for config, environ in places(written(form, secret)):
        for as_json in (False, True):
            assert secret not in shown(of(config), environ, as_json=as_json), environ


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    "setting", ["database.url", "database.url_file", "users.hmac_key_file", "web.config_file", "tables.log"]
)
def test_no_secret_in_the_place_of_another_setting_is_shown(form: str, setting: str) -> None:
    section, name = setting.split(".")
    try:
        config = Config.model_validate({section: {name: written(form, "S3CRETx7")}})
    except ValueError:
        return
    assert "S3CRETx7" not in shown(of(config), {}) + shown(of(config), {}, as_json=True)


def test_each_setting_names_the_line_it_comes_from(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("# of ours\nhorizon: 24h\nmodels:\n  free: [llama]\ndatabase:\n  url: postgresql://me:S3CRET@h/d\n")
    assert main(["config", "show", "--config", str(path)]) == 0
    said = capsys.readouterr().out
    assert f"# configuration: {path}\n" in said
    assert "# connection: h:5432/d as me, by database.url\n" in said
    assert "\nhorizon: 1d  # line 2\n" in said
    assert "\n  free:  # line 4\n    - llama\n" in said
    assert f'\n  url: "{HIDDEN}"  # line 6\n' in said
    assert "\nzero_hold: 1m  # default\n" in said
    assert "S3CRET" not in said
    assert main(["config", "show", "--json", "--config", str(path)]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["settings"]["horizon"] == {"value": "1d", "source": "line 2"}
    assert found["settings"]["database.url"] == {"value": HIDDEN, "source": "line 6"}
    assert found["connection"] == "h:5432/d as me, by database.url"


def test_a_configuration_that_is_wrong_is_refused_as_ever(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("horizont: 24h\n")
    with pytest.raises(ConfigError, match="did you mean horizon"):
        read_config(path, {})


def test_a_key_that_cannot_be_read_prevents_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(f"users: {{mode: hmac, hmac_key_file: {tmp_path / 'absent.key'}}}\n")
    assert main(["config", "show", "--config", str(path)]) == 0
    assert f"hmac_key_file: {tmp_path / 'absent.key'}" in capsys.readouterr().out.replace('"', "")
