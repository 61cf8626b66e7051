"""The image, built once for all tests of this folder."""

from collections.abc import Iterator

import pytest

from tests.support.docker import Image, build_image, run_docker


@pytest.fixture(scope="session")
def image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Image]:
    """The image as `docker build` makes it."""
    built = build_image(tmp_path_factory.mktemp("context"))
    yield built
    run_docker("rmi", "--force", built.tag)
