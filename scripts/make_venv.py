"""Create a virtual environment with pip in it, on any Python from 3.11 to 3.13.

Usage: python3 make_venv.py FOLDER

Debian ships Python without `ensurepip` and without pip. There, pip's wheel is fetched from the
package index (`PIP_INDEX_URL`, else the public one), held against a known hash, and run to install
itself.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import subprocess
import sys
import tempfile
import urllib.error
import urllib.parse
import urllib.request
import venv
from html.parser import HTMLParser
from pathlib import Path

INDEX = "https://pypi.org/simple"
WHEEL = "pip-26.3-py3-none-any.whl"
SHA256 = "f3b60b20ffaadd4415ed7957212a38ac63fa4c5fa375bd0f4a797777940fad13"


class Links(HTMLParser):
    """Collects the targets of a page's links."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [value for name, value in attrs if tag == "a" and name == "href" and value]


def fetch(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=60) as response:
        content: bytes = response.read()
    return content


def fetch_pip() -> bytes:
    """The wheel of pip, from the index's page of links."""
    page = os.environ.get("PIP_INDEX_URL", INDEX).rstrip("/") + "/pip/"
    links = Links()
    links.feed(fetch(page).decode())
    for link in links.found:
        url = urllib.parse.urljoin(page, link)
        if urllib.parse.urlparse(url).path.endswith("/" + WHEEL):
            wheel = fetch(url)
            if hashlib.sha256(wheel).hexdigest() != SHA256:
                sys.exit(f"{WHEEL} of {page} is not the file that it should be.")
            return wheel
    sys.exit(f"{page} does not offer {WHEEL}: run `apt install python3-venv` and try again.")


def install_pip(python: Path) -> None:
    try:
        content = fetch_pip()
    except (urllib.error.URLError, OSError) as error:
        sys.exit(f"Cannot fetch pip ({error}): run `apt install python3-venv` and try again.")
    with tempfile.TemporaryDirectory() as folder:
        wheel = Path(folder) / WHEEL
        wheel.write_bytes(content)
        # A wheel is a zip archive, from which Python can run pip before it is installed.
        command = [str(python), str(wheel / "pip"), "install", "--quiet", "--no-index", str(wheel)]
        subprocess.run(command, check=True)


def main() -> None:
    if not (3, 11) <= sys.version_info < (3, 14):
        version = ".".join(map(str, sys.version_info[:3]))
        sys.exit(
            f"Sosie needs Python 3.11, 3.12 or 3.13, and {sys.executable} is {version}: "
            "name another one, as in `make demo PYTHON=python3.11`."
        )
    folder = Path(sys.argv[1])
    has_ensurepip = importlib.util.find_spec("ensurepip") is not None
    venv.create(folder, with_pip=has_ensurepip, symlinks=True)
    python = folder / "bin" / "python"
    if not (has_ensurepip or (folder / "bin" / "pip").exists()):
        install_pip(python)


if __name__ == "__main__":
    main()
