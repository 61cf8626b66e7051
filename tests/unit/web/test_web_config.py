"""The web configuration file: what is taken, and what is said about what is not."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from exporter.config.errors import ConfigError
from exporter.web.config import read_web_file
from exporter.web.settings import WebSettings
from tests.support.problems import without_column
from tests.support.web import App, fetch, serving

# of "hunter2"; written out, since tests are named by it and each process must name them alike
HASH = "$2b$04$g3iNDISHyfK5TwnqtYgdbu7jDKTYNp5mzTVnxqv/YzL2qMBX/s1gS"
PAIR = "tls_server_config:\n  cert_file: a.crt\n  key_file: a.key\n"
MUTUAL = "  client_ca_file: ca.crt\n  client_auth_type: RequireAndVerifyClientCert\n"

GOOD = [
    "",
    "# nothing yet\n",
    "{}",
    "tls_server_config:\n",  # every line below commented out
    "http_server_config:\nrate_limit:\n",
    PAIR,
    PAIR + MUTUAL,
    PAIR + MUTUAL + "  client_allowed_sans: [a.example, '10.0.0.1']\n",
    PAIR + "  client_ca_file: ca.crt\n  client_auth_type: VerifyClientCertIfGiven\n",
    PAIR + "  client_auth_type: NoClientCert\n",
    PAIR + "  min_version: TLS13\n  max_version: TLS13\n",
    "http_server_config: {http2: false}",
    "http_server_config: {headers: {X-Frame-Options: sameorigin, Strict-Transport-Security: max-age=1}}",
    "http_server_config: {headers: {X-XSS-Protection: 0, X-Content-Type-Options: , Content-Security-Policy: }}",
    f"basic_auth_users: {{al: {HASH}}}",
    f"basic_auth_users: {{al: {HASH.replace('$2b$', '$2y$')}, 12: {HASH.replace('$2b$', '$2a$')}}}",
    "basic_auth_users: {}",
    "rate_limit: {interval: 500ms, burst: 1}",
    "rate_limit: {interval: 0}",
    "rate_limit: {burst: 3}",
]


@pytest.mark.parametrize("text", GOOD)
def test_good_files_are_taken(web_file: Path, text: str) -> None:
    web_file.write_text(text)
    read = read_web_file(web_file)
    assert read.path == web_file
    assert isinstance(read.settings, WebSettings)


BAD = [
    # Text that is no configuration
    ("[1]", "1: a list — write a mapping, one 'name: value' a line"),
    ("hunter2", "1: 'hunter2' — write a mapping, one 'name: value' a line"),
    ("a: [\n", ": "),
    ("rate_limit: {}\nrate_limit: {}\n", "2: rate_limit: the setting a second time — keep one; the first is in line 1"),
    ("users: {}", "1: users: no such setting — known here: tls_server_config, http_server_config, basic_auth_users, "),
    # TLS
    ("tls_server_config: [a]", "1: tls_server_config: a list — write a mapping, one 'name: value' a line"),
    (PAIR + "  cert_fil: a\n", "4: tls_server_config.cert_fil: no such setting — known here: cert_file, key_file, "),
    (
        "tls_server_config: {cert_file: a.crt}",
        "1: tls_server_config.key_file: not set — set key_file (or key): TLS needs a certificate and its key",
    ),
    (
        "tls_server_config:\n  key_file: a.key\n",
        "1: tls_server_config.cert_file: not set — set cert_file (or cert): TLS needs a certificate and its key",
    ),
    (
        PAIR + "  cert: '-----BEGIN CERTIFICATE-----'\n",
        "4: tls_server_config.cert: a value (not shown) — keep one of cert and cert_file",
    ),
    (
        "tls_server_config: {cert_file: a, key: hunter2}",
        "1: tls_server_config.key: a value (not shown) — write the PEM text itself, from -----BEGIN to -----END; "
        "for a path use the _file setting",
    ),
    ("tls_server_config: {cert_file: '', key_file: a}", "1: tls_server_config.cert_file: '' — write a path; in quotes"),
    ("tls_server_config: {cert_file: 12, key_file: a}", "1: tls_server_config.cert_file: 12 (a number) — write a path"),
    ("tls_server_config: {cert_file: a, key: 12}", "1: tls_server_config.key: a value (not shown) — write a text"),
    (
        PAIR + "  client_auth_type: RequireAnyClientCert\n",
        "4: tls_server_config.client_auth_type: 'RequireAnyClientCert' — write RequireAndVerifyClientCert; "
        "certificates that nobody verifies are not supported",
    ),
    (
        PAIR + "  client_auth_type: Always\n",
        "4: tls_server_config.client_auth_type: 'Always' — write one of NoClientCert, VerifyClientCertIfGiven, "
        "RequireAndVerifyClientCert",
    ),
    (
        PAIR + "  client_ca_file: ca.crt\n",
        "1: tls_server_config.client_auth_type: not set — write RequireAndVerifyClientCert, or remove the client CA",
    ),
    (
        PAIR + "  client_auth_type: RequireAndVerifyClientCert\n",
        "1: tls_server_config.client_ca_file: not set — set it to the CA of the client certificates: "
        "RequireAndVerifyClientCert needs it",
    ),
    (
        PAIR + "  client_allowed_sans: [a]\n",
        "4: tls_server_config.client_allowed_sans: a list — set client_auth_type to RequireAndVerifyClientCert",
    ),
    (PAIR + MUTUAL + "  client_allowed_sans: a\n", "6: tls_server_config.client_allowed_sans: 'a' — write a list"),
    (PAIR + MUTUAL + "  client_allowed_sans: [a, '']\n", "6: tls_server_config.client_allowed_sans[1]: '' — write a"),
    (
        PAIR + "  min_version: TLS10\n",
        "4: tls_server_config.min_version: 'TLS10' — write TLS12 or TLS13; older versions are not supported",
    ),
    (PAIR + "  max_version: 1.3\n", "4: tls_server_config.max_version: 1.3 (a number) — write TLS12 or TLS13"),
    (
        PAIR + "  min_version: TLS13\n  max_version: TLS12\n",
        "4: tls_server_config.min_version: 'TLS13' — write no more than max_version (TLS12)",
    ),
    (PAIR + "  cipher_suites: [1]\n", "4: tls_server_config.cipher_suites[0]: 1 (a number) — write a text; in quotes"),
    (PAIR + "  prefer_server_cipher_suites: yes\n", "4: tls_server_config.prefer_server_cipher_suites: 'yes' — write"),
    # HTTP
    (
        "http_server_config: {http2: true}",
        "1: http_server_config.http2: true — write false or leave it out; this server speaks HTTP/1.1",
    ),
    ("http_server_config: {http2: 1}", "1: http_server_config.http2: 1 (a number) — write true or false"),
    (
        "http_server_config: {headers: {X-Mine: a}}",
        "1: http_server_config.headers.X-Mine: 'a' — only these can be set: Content-Security-Policy, X-Frame-Options, ",
    ),
    (
        "http_server_config: {headers: {X-Frame-Options: never}}",
        "1: http_server_config.headers.X-Frame-Options: 'never' — write deny or sameorigin",
    ),
    (
        'http_server_config: {headers: {Content-Security-Policy: "a\\r\\nb"}}',
        "1: http_server_config.headers.Content-Security-Policy: 'a\\r\\nb' — write printable ASCII on one line",
    ),
    ("http_server_config: {headers: {X-XSS-Protection: true}}", "1: http_server_config.headers.X-XSS-Protection: true"),
    ("http_server_config: {headers: [a]}", "1: http_server_config.headers: a list — write a mapping"),
    # Passwords
    (
        "basic_auth_users:\n  al: hunter2\n",
        "2: basic_auth_users.al: a value (not shown) — write a bcrypt hash, as htpasswd -nBC 10 makes it",
    ),
    ("basic_auth_users: {al: 4711}", "1: basic_auth_users.al: a value (not shown) — write a text; in quotes"),
    ("basic_auth_users: {al: 47.11}", "1: basic_auth_users.al: a value (not shown) — write a text; in quotes"),
    ("basic_auth_users: {al: }", "1: basic_auth_users.al: nothing — write a text"),
    ("basic_auth_users: hunter2", "1: basic_auth_users: a value (not shown) — write a mapping"),
    ("basic_auth_users: [hunter2]", "1: basic_auth_users: a list — write a mapping"),
    (
        f"basic_auth_users: {{'al:hunter2': {HASH}}}",
        "1: basic_auth_users.(…): a value (not shown) — write a user name without colon or control characters",
    ),
    ("basic_auth_users: {a.b: hunter2}", "1: basic_auth_users.a.b: a value (not shown) — write a bcrypt hash"),
    (f"basic_auth_users: {{'': {HASH}}}", "1: basic_auth_users: a mapping — write a user name"),
    (
        f"basic_auth_users: {{al: {HASH.replace('$04$', '$19$')}}}",
        "1: basic_auth_users.al: a value (not shown) — make the bcrypt hash with a cost from 4 to 18",
    ),
    (f"basic_auth_users: {{al: {HASH[:-1]}}}", "1: basic_auth_users.al: a value (not shown) — write a bcrypt hash"),
    # Rate
    (
        "rate_limit: {interval: 1000000000, burst: 1}",
        "1: rate_limit.interval: 1000000000 (a number) — write a duration with its unit, like 500ms or 1s",
    ),
    ("rate_limit: {interval: soon, burst: 1}", "1: rate_limit.interval: 'soon' — write a duration like 500ms"),
    ("rate_limit: {interval: 1s}", "1: rate_limit.burst: not set — write 1 or more: without it no request would ever"),
    ("rate_limit: {interval: 1s, burst: -1}", "1: rate_limit.burst: -1 (a number) — write 0 or more"),
    ("rate_limit: {burst: 1.5}", "1: rate_limit.burst: 1.5 (a number) — write a whole number"),
]


@pytest.mark.parametrize(("text", "message"), BAD, ids=[text for text, _ in BAD])
def test_bad_files_are_refused_with_line_setting_and_hint(web_file: Path, text: str, message: str) -> None:
    web_file.write_text(text)
    with pytest.raises(ConfigError) as raised:
        read_web_file(web_file)
    problem = without_column(*raised.value.problems)
    assert problem.startswith(f"{web_file}:{message}" if message[0] != ":" else f"{web_file}:")
    assert " — " in problem
    if text != "hunter2":
        assert "hunter2" not in problem
    assert "4711" not in problem.removeprefix(str(web_file))


def test_every_problem_is_said_at_once_in_the_order_of_lines(web_file: Path) -> None:
    web_file.write_text("rate_limit: {burst: a}\nwho: 1\nbasic_auth_users: {al: x}\n")
    with pytest.raises(ConfigError) as raised:
        read_web_file(web_file)
    places = [without_column(problem).removeprefix(f"{web_file}:").split(": ")[:2] for problem in raised.value.problems]
    assert places == [["1", "rate_limit.burst"], ["2", "who"], ["3", "basic_auth_users.al"]]


@pytest.mark.parametrize("name", ["missing.yml", "."])
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match="name a file that can be read") as raised:
        read_web_file(tmp_path / name)
    assert str(raised.value).startswith(f"{tmp_path / name}: ")


_VALUES = st.recursive(
    st.sampled_from(["null", "true", "1", "-1", "1.5", "a", "TLS13", "1s", "''", "'\\0'", HASH]),
    lambda inner: st.one_of(
        st.lists(inner, max_size=2).map(lambda items: f"[{', '.join(items)}]"),
        st.dictionaries(st.sampled_from(["al", "X-Frame-Options", "1"]), inner, max_size=2).map(
            lambda items: "{" + ", ".join(f"{key}: {value}" for key, value in items.items()) + "}"
        ),
    ),
    max_leaves=4,
)
_SECTIONS = {name: list(_fields) for name, _fields in [("rate_limit", ["interval", "burst"])]} | {
    "tls_server_config": [
        "cert",
        "key_file",
        "client_auth_type",
        "client_allowed_sans",
        "min_version",
        "cipher_suites",
    ],
    "http_server_config": ["http2", "headers"],
    "basic_auth_users": ["al", "a:b"],
}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.data())
def test_whatever_is_written_is_taken_or_refused_with_a_sentence(web_file: Path, data: st.DataObject) -> None:
    lines = []
    for section in data.draw(st.lists(st.sampled_from(sorted(_SECTIONS)), unique=True, max_size=3)):
        if data.draw(st.booleans()):
            lines.append(f"{section}: {data.draw(_VALUES)}")
        else:
            lines.append(f"{section}:")
            names = data.draw(st.lists(st.sampled_from(_SECTIONS[section]), unique=True))
            lines += [f"  {name}: {data.draw(_VALUES)}" if ":" not in name else f"  '{name}': a" for name in names]
    web_file.write_text("\n".join(lines))
    problems = problems_of(web_file)
    assert problems is None or len(problems) > 0
    for problem in problems or ():
        assert problem.startswith(f"{web_file}:")
        assert " — " in problem
        assert "\n" not in problem


def problems_of(path: Path) -> tuple[str, ...] | None:
    try:
        read_web_file(path)
    except ConfigError as error:
        return error.problems
    return None


def test_headers_of_the_file_are_added_replaced_or_left_out(web_file: Path) -> None:
    web_file.write_text(
        "http_server_config:\n  headers:\n    Strict-Transport-Security: max-age=31536000\n"
        "    X-Frame-Options: sameorigin\n    Content-Security-Policy:\n    X-XSS-Protection: 0\n"
    )
    with serving(App(), web_file) as port:
        for path in ("/metrics", "/absent"):
            headers = fetch(port, path).headers
            assert headers["Strict-Transport-Security"] == "max-age=31536000"
            assert headers["X-Frame-Options"] == "sameorigin"
            assert headers["X-XSS-Protection"] == "0"
            assert headers["X-Content-Type-Options"] == "nosniff"
            assert "Content-Security-Policy" not in headers


@pytest.mark.parametrize("style", ["{key}", "|\n    {key}", ">-\n    {key}"])
@pytest.mark.parametrize("setting", ["key_file", "cert_file", "client_ca_file"])
def test_a_key_that_was_pasted_in_place_of_its_path_is_not_shown(tmp_path: Path, setting: str, style: str) -> None:
    file = tmp_path / "web.yml"
    pasted = style.format(key="-----BEGIN PRIVATE KEY-----MIIEvQIBADANBgkqhkiG9w0BAQEF-----END PRIVATE KEY-----")
    file.write_text(f"tls_server_config:\n  {setting}: {pasted}\n")
    with pytest.raises(ConfigError) as caught:
        read_web_file(file)
    assert "write the path of a PEM file" in str(caught.value)
    assert "MIIEvQ" not in str(caught.value)
