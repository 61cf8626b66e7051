"""The settings of the web configuration file, under the names of Prometheus' exporter-toolkit."""

import ipaddress
import re
from collections.abc import Mapping
from typing import Annotated, Self

from pydantic import AfterValidator, BeforeValidator, Field, StrictBool, field_validator, model_validator

from exporter.config.section import Section
from exporter.config.types import Count, PathText, Text, parse_duration
from exporter.diagnostics import setting_error

VERIFYING = ("VerifyClientCertIfGiven", "RequireAndVerifyClientCert")
_REFUSED_CLIENT_AUTH = ("RequestClientCert", "RequireAnyClientCert", "RequireClientCert")
_HEADERS: Mapping[str, tuple[str, ...]] = {
    "Content-Security-Policy": (),
    "X-Frame-Options": ("deny", "sameorigin"),
    "X-Content-Type-Options": ("nosniff",),
    "X-XSS-Protection": (),
    "Strict-Transport-Security": (),
}
_HEADER_VALUE = re.compile(r"[\x20-\x7e]*")
_BCRYPT = re.compile(r"\$2[aby]\$([0-9]{2})\$[./A-Za-z0-9]{21}[.Oeu][./A-Za-z0-9]{31}")
_LEAST_COST, _MOST_COST = 4, 18
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def _check_client_auth(value: object) -> object:
    if value in _REFUSED_CLIENT_AUTH:
        raise setting_error("write RequireAndVerifyClientCert; certificates that nobody verifies are not supported")
    if value not in ("NoClientCert", *VERIFYING):
        raise setting_error(f"write one of NoClientCert, {', '.join(VERIFYING)}")
    return value


def usual_address(name: str) -> str:
    """An IP address in its usual form, since IPv6 has many; any other name as it is."""
    try:
        return str(ipaddress.ip_address(name))
    except ValueError:
        return name


def _check_version(value: object) -> object:
    if value not in ("TLS12", "TLS13"):
        raise setting_error("write TLS12 or TLS13; older versions are not supported")
    return value


def _check_pem(value: str) -> str:
    if "-----BEGIN " not in value:
        raise setting_error("write the PEM text itself, from -----BEGIN to -----END; for a path use the _file setting")
    return value


def _check_path(value: object) -> object:
    if isinstance(value, str) and "-----" in value:
        raise setting_error("write the path of a PEM file; for the text itself use the setting without _file")
    return value


def _header_text(value: object) -> object:
    if value is None:
        return ""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _check_headers(headers: Mapping[str, str]) -> Mapping[str, str]:
    for name, value in headers.items():
        if name not in _HEADERS:
            raise setting_error(f"only these can be set: {', '.join(_HEADERS)}", name)
        allowed = _HEADERS[name]
        if value and allowed and value not in allowed:
            raise setting_error(f"write {' or '.join(allowed)}", name)
        if not _HEADER_VALUE.fullmatch(value):
            raise setting_error("write printable ASCII on one line", name)
    return headers


def _check_users(users: Mapping[str, str]) -> Mapping[str, str]:
    for name, password in users.items():
        if not name or ":" in name or _CONTROL.search(name):
            raise setting_error("write a user name without colon or control characters", name)
        match = _BCRYPT.fullmatch(password)
        if match is None:
            raise setting_error("write a bcrypt hash, as htpasswd -nBC 10 makes it", name)
        if not _LEAST_COST <= int(match[1]) <= _MOST_COST:
            raise setting_error(f"make the bcrypt hash with a cost from {_LEAST_COST} to {_MOST_COST}", name)
    return users


def _parse_interval(value: object) -> float:
    # A bare number would be nanoseconds to the exporter-toolkit.
    if isinstance(value, int | float) and value != 0:
        raise setting_error("write a duration with its unit, like 500ms or 1s")
    return parse_duration(value)


_Pem = Annotated[str, AfterValidator(_check_pem)]
_File = Annotated[PathText, BeforeValidator(_check_path)]
_Version = Annotated[str, BeforeValidator(_check_version)]


class TlsServer(Section):
    """The server's certificate, and what it asks of clients."""

    cert_file: _File | None = None
    key_file: _File | None = None
    cert: _Pem | None = None
    key: _Pem | None = None
    client_ca_file: _File | None = None
    client_ca: _Pem | None = None
    client_auth_type: Annotated[str, BeforeValidator(_check_client_auth)] = "NoClientCert"
    client_allowed_sans: tuple[Annotated[Text, AfterValidator(usual_address)], ...] = ()
    min_version: _Version = "TLS12"
    max_version: _Version = "TLS13"
    cipher_suites: tuple[str, ...] = ()
    prefer_server_cipher_suites: StrictBool = True
    curve_preferences: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        for name in ("cert", "key", "client_ca"):
            if getattr(self, name) and getattr(self, f"{name}_file"):
                raise setting_error(f"keep one of {name} and {name}_file", name)
        for name in ("cert", "key"):
            if not getattr(self, name) and not getattr(self, f"{name}_file"):
                raise setting_error(f"set {name}_file (or {name}): TLS needs a certificate and its key", f"{name}_file")
        has_ca = bool(self.client_ca or self.client_ca_file)
        if has_ca and self.client_auth_type not in VERIFYING:
            hint = "write RequireAndVerifyClientCert, or remove the client CA"
            raise setting_error(hint, "client_auth_type")
        if self.client_auth_type in VERIFYING and not has_ca:
            hint = f"set it to the CA of the client certificates: {self.client_auth_type} needs it"
            raise setting_error(hint, "client_ca_file")
        if self.client_allowed_sans and self.client_auth_type != "RequireAndVerifyClientCert":
            raise setting_error("set client_auth_type to RequireAndVerifyClientCert", "client_allowed_sans")
        if self.min_version > self.max_version:
            raise setting_error(f"write no more than max_version ({self.max_version})", "min_version")
        return self


class HttpServer(Section):
    """The protocol, and headers added to every response."""

    http2: StrictBool = False
    headers: Annotated[Mapping[str, Annotated[str, BeforeValidator(_header_text)]], AfterValidator(_check_headers)] = (
        Field(default_factory=dict)
    )

    @field_validator("http2")
    @classmethod
    def _check_http2(cls, value: bool) -> bool:
        if value:
            raise setting_error("write false or leave it out; this server speaks HTTP/1.1")
        return value


class RateLimit(Section):
    """One token bucket for all requests, after the password check if there is one; no interval means no limit."""

    interval: Annotated[float, BeforeValidator(_parse_interval)] = 0.0
    burst: Annotated[Count, Field(ge=0)] = 0

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.interval and not self.burst:
            raise setting_error("write 1 or more: without it no request would ever pass", "burst")
        return self


class WebSettings(Section):
    """The whole file."""

    tls_server_config: TlsServer | None = None
    http_server_config: HttpServer = Field(default_factory=HttpServer)
    basic_auth_users: Annotated[Mapping[str, str], AfterValidator(_check_users)] = Field(default_factory=dict)
    rate_limit: RateLimit = Field(default_factory=RateLimit)
