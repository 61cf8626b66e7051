"""Certificates, made once."""

from pathlib import Path

import pytest
from cryptography import x509

from tests.support.certificates import Authority


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """An authority that has issued ``server``, ``other``, ``scraper`` and ``visitor`` (.crt and .key) in its folder."""
    authority = Authority(tmp_path_factory.mktemp("certificates"))
    authority.issue("server")
    authority.issue("other")
    authority.issue("scraper", [x509.DNSName("scraper.example")])
    authority.issue("visitor", [x509.DNSName("visitor.example")])
    return authority


@pytest.fixture
def web_file(tmp_path: Path) -> Path:
    """Where a test writes its web configuration."""
    return tmp_path / "web.yml"
