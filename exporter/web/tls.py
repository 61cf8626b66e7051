"""Build an SSL context from the TLS settings; refuse what Python's TLS cannot do."""

import os
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

from exporter.diagnostics import shown
from exporter.web.config import WebFile
from exporter.web.settings import TlsServer
from exporter.yaml_source import SettingPath

_SECTION = "tls_server_config"
_MOST_PEM = 60_000  # a pipe holds 64 KiB without a reader
_VERSIONS = {"TLS12": ssl.TLSVersion.TLSv1_2, "TLS13": ssl.TLSVersion.TLSv1_3}
_CURVES = {"CurveP256": "prime256v1", "CurveP384": "secp384r1", "CurveP521": "secp521r1", "X25519": "X25519"}
_TLS13_SUITES = {"TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"}
_SUITES = {
    "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256": "ECDHE-ECDSA-AES128-GCM-SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384": "ECDHE-ECDSA-AES256-GCM-SHA384",
    "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-ECDSA-CHACHA20-POLY1305",
    "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA": "ECDHE-ECDSA-AES128-SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA": "ECDHE-ECDSA-AES256-SHA",
    "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256": "ECDHE-RSA-AES128-GCM-SHA256",
    "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384": "ECDHE-RSA-AES256-GCM-SHA384",
    "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-RSA-CHACHA20-POLY1305",
    "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA": "ECDHE-RSA-AES128-SHA",
    "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA": "ECDHE-RSA-AES256-SHA",
}


class _EncryptedKeyError(Exception):
    pass


def named_files(file: WebFile) -> tuple[Path, ...]:
    """The certificate and key files that the web configuration names."""
    tls = file.settings.tls_server_config
    named = (tls.cert_file, tls.key_file, tls.client_ca_file) if tls else ()
    return tuple(file.path.parent / path for path in named if path is not None)


def build_context(file: WebFile) -> ssl.SSLContext | None:
    """The context for new connections, None for plain HTTP. Raises ConfigError naming the setting."""
    tls = file.settings.tls_server_config
    if tls is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = _VERSIONS[tls.min_version]
    context.maximum_version = _VERSIONS[tls.max_version]
    context.options |= ssl.OP_NO_RENEGOTIATION
    if not tls.prefer_server_cipher_suites:
        context.options &= ~ssl.OP_CIPHER_SERVER_PREFERENCE  # set by default
    context.set_alpn_protocols(["http/1.1"])
    _set_suites(file, tls, context)
    _set_curve(file, tls, context)
    _load_certificate(file, tls, context)
    _load_client_ca(file, tls, context)
    return context


def _set_suites(file: WebFile, tls: TlsServer, context: ssl.SSLContext) -> None:
    if not tls.cipher_suites:
        return
    setting: SettingPath = (_SECTION, "cipher_suites")
    for index, name in enumerate(tls.cipher_suites):
        if name not in _SUITES and name not in _TLS13_SUITES:
            raise file.error((*setting, index), shown(name), f"write names out of {', '.join(_SUITES)}")
    newer = _TLS13_SUITES.intersection(tls.cipher_suites)
    if newer and newer != _TLS13_SUITES:
        hint = "remove it: those of TLS 1.3 cannot be chosen one by one, list all three or none"
        raise file.error(setting, min(newer), hint)
    older = [_SUITES[name] for name in tls.cipher_suites if name in _SUITES]
    if older:
        context.set_ciphers(":".join(older))
    elif tls.min_version == "TLS12":
        raise file.error(setting, "only suites of TLS 1.3", "set min_version to TLS13, or add suites of TLS 1.2")
    if older and tls.min_version == "TLS13":
        raise file.error(setting, "suites of TLS 1.2", "remove them, or set min_version to TLS12")


def _set_curve(file: WebFile, tls: TlsServer, context: ssl.SSLContext) -> None:
    setting: SettingPath = (_SECTION, "curve_preferences")
    for index, name in enumerate(tls.curve_preferences):
        if name not in _CURVES:
            raise file.error((*setting, index), shown(name), f"write one of {', '.join(_CURVES)}")
    if len(tls.curve_preferences) > 1:
        raise file.error(setting, "several curves", "write one curve, or leave it out for OpenSSL's own order")
    for name in tls.curve_preferences:
        try:
            context.set_ecdh_curve(_CURVES[name])
        except (ssl.SSLError, ValueError):
            # Python 3.11.2 cannot choose X25519, 3.11.7 can, with one and the same OpenSSL
            hint = "write CurveP256, or leave it out: this Python cannot choose that one"
            raise file.error((*setting, 0), shown(name), hint) from None


def _load_certificate(file: WebFile, tls: TlsServer, context: ssl.SSLContext) -> None:
    cert_setting, cert = _pem(file, "cert", tls.cert, tls.cert_file)
    key_setting, key = _pem(file, "key", tls.key, tls.key_file)
    if b"PRIVATE KEY-----" not in key:
        raise file.error(key_setting, "no private key in it", "give a PEM file with -----BEGIN PRIVATE KEY-----")
    if b"-----BEGIN CERTIFICATE-----" not in cert:
        raise file.error(cert_setting, "no certificate in it", "give a PEM file with -----BEGIN CERTIFICATE-----")
    try:
        with _file_in_memory(cert) as cert_path, _file_in_memory(key) as key_path:
            context.load_cert_chain(cert_path, key_path, password=_refuse)
    except _EncryptedKeyError:
        raise file.error(key_setting, "an encrypted key", "give the key without a passphrase") from None
    except OSError as error:  # ssl's errors are OSErrors, and a stale errno can turn one into a plain one
        reason = getattr(error, "reason", None) or "no such pair"
        if reason == "KEY_VALUES_MISMATCH":
            raise file.error(key_setting, "the key of another certificate", "give the pair that belongs") from None
        hint = "give a PEM certificate (its chain after it) and its PEM key"
        raise file.error(cert_setting, f"not usable ({reason})", hint) from None


def _load_client_ca(file: WebFile, tls: TlsServer, context: ssl.SSLContext) -> None:
    if not tls.client_ca and not tls.client_ca_file:
        return
    setting, pem = _pem(file, "client_ca", tls.client_ca, tls.client_ca_file)
    try:
        context.load_verify_locations(cadata=pem.decode("ascii", "ignore"))
    except (ssl.SSLError, ValueError):
        raise file.error(setting, "no usable certificate in it", "give the CA's certificate as PEM") from None
    required = tls.client_auth_type == "RequireAndVerifyClientCert"
    context.verify_mode = ssl.CERT_REQUIRED if required else ssl.CERT_OPTIONAL


def _pem(file: WebFile, name: str, inline: str | None, path: Path | None) -> tuple[SettingPath, bytes]:
    """The setting that gives the PEM text, and the text."""
    if path is None:
        setting: SettingPath = (_SECTION, name)
        content = (inline or "").encode()
    else:
        setting = (_SECTION, f"{name}_file")
        full = file.path.parent / path
        try:
            content = full.read_bytes()
        except OSError as error:
            raise file.error(setting, f"{full}: {error.strerror}", "name a file that can be read") from None
    if len(content) > _MOST_PEM:
        raise file.error(setting, "too long", f"give PEM of at most {_MOST_PEM} bytes")
    return setting, content


def _refuse() -> NoReturn:
    # Without this OpenSSL would ask for a passphrase on the terminal.
    raise _EncryptedKeyError


@contextmanager
def _file_in_memory(content: bytes) -> Iterator[str]:
    """A path from which OpenSSL can read bytes that are in memory: a key is never written to a disk."""
    if hasattr(os, "memfd_create"):  # can be rewound, which OpenSSL likes to do
        reader = os.memfd_create("pem")
        os.write(reader, content)
    else:
        reader, writer = os.pipe()
        os.write(writer, content)
        os.close(writer)
    try:
        yield f"/dev/fd/{reader}"
    finally:
        os.close(reader)
