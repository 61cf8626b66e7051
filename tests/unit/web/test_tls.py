"""TLS, and client certificates, as clients meet them."""

import ipaddress
import os
import socket
import ssl
from pathlib import Path

import pytest
from cryptography import x509

from exporter.config.errors import ConfigError
from exporter.web.config import read_web_file
from exporter.web.server import WebServer
from exporter.web.tls import build_context, named_files
from tests.support.certificates import Authority
from tests.support.problems import without_column
from tests.support.web import PATIENCE, App, connect, dial, fetch, read_all, serving


def tls_section(authority: Authority, *lines: str) -> str:
    folder = authority.cert.parent
    pair = [f"cert_file: {folder}/server.crt", f"key_file: {folder}/server.key"]
    return "tls_server_config:\n" + "".join(f"  {line}\n" for line in [*pair, *lines])


def mutual(authority: Authority, *lines: str, kind: str = "RequireAndVerifyClientCert") -> str:
    return tls_section(authority, f"client_ca_file: {authority.cert}", f"client_auth_type: {kind}", *lines)


def handshake(port: int, context: ssl.SSLContext) -> ssl.SSLSocket:
    return context.wrap_socket(socket.create_connection(("127.0.0.1", port), PATIENCE), server_hostname="localhost")


def test_metrics_over_tls(authority: Authority, web_file: Path) -> None:
    web_file.write_text(tls_section(authority))
    with serving(config=web_file) as port:
        assert fetch(port, tls=authority.client_context()).status == 200
        with pytest.raises(ssl.SSLCertVerificationError):
            fetch(port, tls=ssl.create_default_context())
        assert b"200 OK" not in read_all(dial(port, b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"))


def test_the_url_says_https(authority: Authority, web_file: Path) -> None:
    web_file.write_text(tls_section(authority))
    server = WebServer(App(), "127.0.0.1:0", web_file)
    server.start()
    assert server.url == f"https://127.0.0.1:{server.port}"
    server.stop()


def test_the_certificate_may_stand_in_the_file_itself(authority: Authority, web_file: Path) -> None:
    web_file.write_text(inline(authority))
    with serving(config=web_file) as port:
        assert fetch(port, tls=authority.client_context()).status == 200


def inline(authority: Authority) -> str:
    text = "tls_server_config:\n"
    for setting, name in (("cert", "server.crt"), ("key", "server.key")):
        pem = (authority.cert.parent / name).read_text()
        text += f"  {setting}: |\n" + "".join(f"    {line}\n" for line in pem.splitlines())
    return text


@pytest.mark.skipif(not Path("/dev/fd").exists(), reason="no /dev/fd here")
def test_the_certificate_loads_where_there_are_no_files_in_memory(
    authority: Authority, web_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(os, "memfd_create", raising=False)
    web_file.write_text(inline(authority))
    with serving(config=web_file) as port:
        assert fetch(port, tls=authority.client_context()).status == 200


def test_paths_are_relative_to_the_file(authority: Authority) -> None:
    file = authority.cert.parent / "relative.yml"
    file.write_text("tls_server_config: {cert_file: server.crt, key_file: server.key}\n")
    read = read_web_file(file)
    assert build_context(read) is not None
    assert named_files(read) == (authority.cert.parent / "server.crt", authority.cert.parent / "server.key")


def can_choose(curve: str) -> bool:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).set_ecdh_curve(curve)
    except (ssl.SSLError, ValueError):
        return False
    return True


def test_a_curve_that_this_python_cannot_choose_is_said(authority: Authority, web_file: Path) -> None:
    web_file.write_text(tls_section(authority, "curve_preferences: [X25519]"))
    if can_choose("X25519"):
        context = authority.client_context()
        with serving(config=web_file) as port:
            assert fetch(port, tls=context).status == 200
    else:
        with pytest.raises(ConfigError, match="this Python cannot choose that one"):
            build_context(read_web_file(web_file))


@pytest.mark.parametrize(
    ("lines", "client", "version", "suite"),
    [
        ([], ssl.TLSVersion.TLSv1_3, "TLSv1.3", ""),
        (["max_version: TLS12"], ssl.TLSVersion.TLSv1_3, "TLSv1.2", ""),
        (["min_version: TLS13"], ssl.TLSVersion.TLSv1_2, None, ""),
        (["min_version: TLS13"], ssl.TLSVersion.TLSv1_3, "TLSv1.3", ""),
        (
            ["cipher_suites: [TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384]", "prefer_server_cipher_suites: false"],
            ssl.TLSVersion.TLSv1_2,
            "TLSv1.2",
            "ECDHE-ECDSA-AES256-GCM-SHA384",
        ),
        (
            [
                "cipher_suites: [TLS_AES_128_GCM_SHA256, TLS_AES_256_GCM_SHA384, TLS_CHACHA20_POLY1305_SHA256]",
                "min_version: TLS13",
            ],
            ssl.TLSVersion.TLSv1_3,
            "TLSv1.3",
            "",
        ),
        (["curve_preferences: [CurveP384]"], ssl.TLSVersion.TLSv1_3, "TLSv1.3", ""),
    ],
)
def test_versions_suites_and_curves(
    authority: Authority, web_file: Path, lines: list[str], client: ssl.TLSVersion, version: str | None, suite: str
) -> None:
    web_file.write_text(tls_section(authority, *lines))
    context = authority.client_context()
    context.maximum_version = client
    with serving(config=web_file) as port:
        if version is None:
            with pytest.raises(ssl.SSLError):
                handshake(port, context)
            return
        with handshake(port, context) as done:
            assert done.version() == version
            cipher = done.cipher()
            assert cipher is not None
            assert suite in cipher[0]
        assert fetch(port, tls=context).status == 200


@pytest.mark.parametrize("preferred", [None, True, False])
def test_whose_order_of_suites_counts(authority: Authority, web_file: Path, preferred: bool | None) -> None:
    lines = [] if preferred is None else [f"prefer_server_cipher_suites: {str(preferred).lower()}"]
    web_file.write_text(tls_section(authority, *lines))
    context = build_context(read_web_file(web_file))
    assert context is not None
    assert bool(context.options & ssl.OP_CIPHER_SERVER_PREFERENCE) is (preferred is not False)


def refused(port: int, context: ssl.SSLContext) -> bool:
    """Whether the server breaks off the connection; with TLS 1.3 the client learns it when it reads."""
    connection = connect(port, context)
    try:
        connection.request("GET", "/metrics")
        connection.getresponse()
    except (ssl.SSLError, ConnectionError):
        return True
    finally:
        connection.close()
    return False


def test_only_clients_with_a_certificate_of_the_authority_get_in(
    authority: Authority, web_file: Path, tmp_path: Path
) -> None:
    stranger = Authority(tmp_path, "stranger").issue("guest")
    folder = authority.cert.parent
    web_file.write_text(mutual(authority))
    with serving(config=web_file) as port:
        assert refused(port, authority.client_context())
        assert refused(port, with_certificate(authority, stranger.cert, stranger.key))
        assert (
            fetch(port, tls=with_certificate(authority, folder / "scraper.crt", folder / "scraper.key")).status == 200
        )


def with_certificate(authority: Authority, cert: Path, key: Path) -> ssl.SSLContext:
    context = authority.client_context()
    context.load_cert_chain(cert, key)
    return context


def known_client(authority: Authority, name: str) -> ssl.SSLContext:
    folder = authority.cert.parent
    return with_certificate(authority, folder / f"{name}.crt", folder / f"{name}.key")


def test_a_certificate_is_checked_if_given(authority: Authority, web_file: Path, tmp_path: Path) -> None:
    stranger = Authority(tmp_path, "stranger").issue("guest")
    web_file.write_text(mutual(authority, kind="VerifyClientCertIfGiven"))
    with serving(config=web_file) as port:
        assert fetch(port, tls=authority.client_context()).status == 200
        assert fetch(port, tls=known_client(authority, "scraper")).status == 200
        assert refused(port, with_certificate(authority, stranger.cert, stranger.key))


def test_only_the_allowed_names_get_in(authority: Authority, web_file: Path) -> None:
    web_file.write_text(mutual(authority, "client_allowed_sans: [scraper.example, somebody.example]"))
    with serving(config=web_file) as port:
        assert fetch(port, tls=known_client(authority, "scraper")).status == 200
        for path in ("/", "/metrics", "/-/healthy", "/absent"):
            assert fetch(port, path, tls=known_client(authority, "visitor")).status == 403


@pytest.mark.parametrize(
    ("name", "allowed"),
    [
        (x509.IPAddress(ipaddress.ip_address("::1")), '"::1"'),
        (x509.IPAddress(ipaddress.ip_address("2001:db8::a")), '"2001:DB8:0::A"'),
        (x509.IPAddress(ipaddress.ip_address("10.0.0.7")), '"10.0.0.7"'),
        (x509.RFC822Name("ops@scraper.example"), "ops@scraper.example"),
        (x509.UniformResourceIdentifier("spiffe://scraper.example/one"), "spiffe://scraper.example/one"),
    ],
)
def test_every_kind_of_alternative_name_can_be_allowed(
    authority: Authority, web_file: Path, name: x509.GeneralName, allowed: str
) -> None:
    issued = authority.issue("named", [name])
    web_file.write_text(mutual(authority, f"client_allowed_sans: [{allowed}]"))
    with serving(config=web_file) as port:
        assert fetch(port, tls=with_certificate(authority, issued.cert, issued.key)).status == 200
        assert fetch(port, tls=known_client(authority, "visitor")).status == 403


BAD_FILES = [
    ("cert_file: missing.crt", "tls_server_config.cert_file: {folder}/missing.crt: No such file or directory"),
    ("cert_file: empty.pem", "tls_server_config.cert_file: no certificate in it"),
    ("cert_file: broken.pem", "tls_server_config.cert_file: not usable ("),
    ("cert_file: long.pem", "tls_server_config.cert_file: too long"),
    ("key_file: other.key", "tls_server_config.key_file: the key of another certificate"),
    ("key_file: server.crt", "tls_server_config.key_file: no private key in it"),
    ("key_file: locked.key", "tls_server_config.key_file: an encrypted key"),
    ("client_ca_file: broken.pem", "tls_server_config.client_ca_file: no usable certificate in it"),
    ("client_ca_file: empty.pem", "tls_server_config.client_ca_file: no usable certificate in it"),
]


@pytest.mark.parametrize(("line", "found"), BAD_FILES, ids=[line for line, _ in BAD_FILES])
def test_certificates_that_cannot_be_used_are_named(authority: Authority, line: str, found: str) -> None:
    folder = authority.cert.parent
    (folder / "empty.pem").write_text("")
    (folder / "broken.pem").write_text("-----BEGIN CERTIFICATE-----\nhunter2\n-----END CERTIFICATE-----\n")
    (folder / "long.pem").write_text("x" * 60_001)
    authority.issue("locked", password=b"hunter2")
    settings = {"cert_file": "server.crt", "key_file": "server.key"}
    name, _, value = line.partition(": ")
    if name == "client_ca_file":
        settings["client_auth_type"] = "RequireAndVerifyClientCert"
    settings[name] = value
    file = folder / "bad.yml"
    file.write_text("tls_server_config:\n" + "".join(f"  {key}: {value}\n" for key, value in settings.items()))
    with pytest.raises(ConfigError) as raised:
        WebServer(App(), "127.0.0.1:0", file).start()
    number = 2 + list(settings).index(name)
    assert without_column(str(raised.value)).startswith(f"{file}:{number}: {found.format(folder=folder)}")
    assert " — " in str(raised.value)
    assert "hunter2" not in str(raised.value)


BAD_CHOICES = [
    ("cipher_suites: [TLS_RSA_WITH_RC4_128_SHA]", "tls_server_config.cipher_suites[0]: 'TLS_RSA_WITH_RC4_128_SHA'"),
    ("cipher_suites: [TLS_AES_128_GCM_SHA256]", "tls_server_config.cipher_suites: TLS_AES_128_GCM_SHA256"),
    (
        "cipher_suites: [TLS_AES_128_GCM_SHA256, TLS_AES_256_GCM_SHA384, TLS_CHACHA20_POLY1305_SHA256]",
        "tls_server_config.cipher_suites: only suites of TLS 1.3",
    ),
    (
        "{min_version: TLS13, cipher_suites: [TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256]}",
        "tls_server_config.cipher_suites: suites of TLS 1.2",
    ),
    ("curve_preferences: [CurveP224]", "tls_server_config.curve_preferences[0]: 'CurveP224'"),
    ("curve_preferences: [CurveP256, X25519]", "tls_server_config.curve_preferences: several curves"),
]


@pytest.mark.parametrize(("line", "found"), BAD_CHOICES, ids=[line for line, _ in BAD_CHOICES])
def test_what_this_tls_cannot_do_is_refused(authority: Authority, web_file: Path, line: str, found: str) -> None:
    web_file.write_text(tls_section(authority, *line.strip("{}").replace("TLS13, ", "TLS13\n  ").split("\n  ")))
    with pytest.raises(ConfigError) as raised:
        WebServer(App(), "127.0.0.1:0", web_file).start()
    assert f": {found} — " in str(raised.value)
