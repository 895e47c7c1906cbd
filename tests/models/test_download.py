"""Fetching files: from disk, over HTTP on the loopback, and what Google Drive sends instead."""

import hashlib
import http.server
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from models.download import DownloadError, fetch, gdrive_id, looks_like_html, sha256_of

CONTENT = bytes(range(256)) * 5000  # more than one block of the download
DIGEST = hashlib.sha256(CONTENT).hexdigest()
PAGE = b"\n<!DOCTYPE html><html><title>Google Drive - Quota exceeded</title></html>"
FETCH = (
    "import sys; from models.download import fetch; print(fetch(sys.argv[1], sha256=sys.argv[2]))"
)


class Handler(http.server.BaseHTTPRequestHandler):
    """Serves by path: /file, /slow/file, /page, /cut (ends early); anything else is a 404."""

    def do_GET(self):
        self.server.requests.append(self.path)
        name = self.path.split("?")[0].rsplit("/", 1)[-1]
        if name not in ("file", "page", "cut"):
            self.send_error(404)
            return
        body = PAGE if name == "page" else CONTENT
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.path.startswith("/slow"):
            time.sleep(1)
        self.wfile.write(body[: len(body) // 2] if name == "cut" else body)

    def log_message(self, *args):
        """Keeps the test output quiet."""


@pytest.fixture
def server():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as web:
        web.requests = []
        web.url = f"http://127.0.0.1:{web.server_address[1]}"
        thread = threading.Thread(target=web.serve_forever, args=(0.05,))
        thread.start()
        yield web
        web.shutdown()
        thread.join()


def left(folder: Path) -> list[str]:
    """What a cache folder holds beside locks."""
    return sorted(p.name for p in folder.rglob("*") if p.suffix != ".lock")


def one_line_error(*args, **kwargs) -> str:
    with pytest.raises(DownloadError) as caught:
        fetch(*args, **kwargs)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_local_file_is_returned_as_is(tmp_path, monkeypatch):
    """Catches: copying local files into the cache, or a literal `~` in the path."""
    path = tmp_path / "weights.pt"
    path.write_bytes(CONTENT)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("TSTITCH_CACHE", str(tmp_path / "cache"))
    assert fetch(str(path)) == path
    assert fetch("~/weights.pt", sha256=DIGEST.upper()) == path
    assert sha256_of(path) == DIGEST
    assert left(tmp_path) == ["weights.pt"]


@pytest.mark.parametrize("source", ["", "nowhere.pt", ".", "~/nowhere.pt"])
def test_not_a_local_file(source):
    """Catches: a folder or missing path that fails later, inside torch.load."""
    message = one_line_error(source)
    assert repr(source) in message and "give a file" in message


def test_local_digest_mismatch_keeps_the_file(tmp_path):
    """Catches: digests that are checked for downloads only; deleting the user's own file."""
    path = tmp_path / "weights.pt"
    path.write_bytes(b"other")
    message = one_line_error(str(path), sha256=DIGEST)
    assert DIGEST in message and sha256_of(path) in message and "replace" in message


def test_bad_digest_argument(tmp_path):
    """Catches: a shortened digest reported as a wrong file."""
    assert one_line_error(str(tmp_path), sha256="abc123").startswith("sha256=abc123: ")


def test_url_is_downloaded_once(server, tmp_path):
    """Catches: a second download of a cached file, or one cache entry for two addresses."""
    cache = tmp_path / "new" / "cache"
    path = fetch(f"{server.url}/file?v=1", sha256=DIGEST, cache_dir=cache)
    assert path.read_bytes() == CONTENT and path.parent == cache
    assert fetch(f"{server.url}/file?v=1", cache_dir=cache) == path
    assert len(server.requests) == 1
    assert fetch(f"{server.url}/file?v=2", cache_dir=cache) != path
    assert len(left(cache)) == 2


def test_default_cache_is_the_environment_variable(server, tmp_path, monkeypatch):
    """Catches: TSTITCH_CACHE ignored, or read once at import."""
    monkeypatch.setenv("TSTITCH_CACHE", str(tmp_path / "here"))
    assert fetch(f"{server.url}/file").parent == tmp_path / "here"
    monkeypatch.delenv("TSTITCH_CACHE")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert fetch(f"{server.url}/file").parent == tmp_path / ".cache" / "tstitch"


def test_html_page_instead_of_a_file(server, tmp_path):
    """Catches: a quota page cached as weights, which then fails for ever."""
    message = one_line_error(f"{server.url}/page", cache_dir=tmp_path)
    assert "web page" in message and "download limit" in message and "sharing" in message
    assert left(tmp_path) == []


def test_wrong_remote_file_is_not_kept(server, tmp_path):
    """Catches: a file of another digest left in the cache, or a message without both digests."""
    wanted = "0" * 64
    message = one_line_error(f"{server.url}/file", sha256=wanted, cache_dir=tmp_path)
    assert wanted in message and DIGEST in message and "by hand" in message
    assert left(tmp_path) == []


def test_damaged_cache_is_downloaded_again(server, tmp_path):
    """Catches: a cached file that is trusted although its digest is wrong."""
    path = fetch(f"{server.url}/file", cache_dir=tmp_path)
    path.write_bytes(CONTENT[:-1])
    assert fetch(f"{server.url}/file", sha256=DIGEST, cache_dir=tmp_path) == path
    assert path.read_bytes() == CONTENT


def test_interrupted_download_leaves_nothing(server, tmp_path):
    """Catches: half a file in the cache after a cut connection, taken as whole the next time."""
    message = one_line_error(f"{server.url}/cut", cache_dir=tmp_path)
    assert f"{len(CONTENT) // 2} of {len(CONTENT)} bytes" in message
    assert left(tmp_path) == []


def test_leftovers_of_a_killed_download_are_removed(server, tmp_path):
    """Catches: a cache that grows by gigabytes with every killed job."""
    path = fetch(f"{server.url}/file", cache_dir=tmp_path)
    path.unlink()
    stale = tmp_path / f".{path.name}-killed"
    stale.mkdir()
    (stale / "part").write_bytes(b"half")
    fetch(f"{server.url}/file", cache_dir=tmp_path)
    assert left(tmp_path) == [path.name]


def test_two_processes_fetch_at_once(server, tmp_path):
    """Catches: a download per rank, or one rank reading what another is still writing."""
    command = [sys.executable, "-c", FETCH, f"{server.url}/slow/file", DIGEST]
    root = Path(__file__).resolve().parents[2]
    environment = {"TSTITCH_CACHE": str(tmp_path), "PYTHONPATH": str(root)}
    runs = [
        subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    paths = {run.communicate(timeout=300)[0].strip() for run in runs}
    assert [run.returncode for run in runs] == [0, 0]
    assert len(paths) == 1 and Path(paths.pop()).read_bytes() == CONTENT
    assert len(server.requests) == 1


def test_network_failures_are_one_line(server, tmp_path):
    """Catches: a traceback for a wrong address, a server that is down, or a malformed URL."""
    assert "404" in one_line_error(f"{server.url}/nowhere.pt", cache_dir=tmp_path)
    for url in ("http://127.0.0.1:1/file", "http://127.0.0.1:x/file", "http://.host/\u00e4"):
        assert url in one_line_error(url, cache_dir=tmp_path)
    for url in ("ftp://host/file", "http:///file", "http://[host/file"):
        assert url in one_line_error(url, cache_dir=tmp_path)
    assert left(tmp_path) == []


def test_unusable_cache_folder(server, tmp_path):
    """Catches: a bare OSError, without the remedy, when the cache cannot be written."""
    (tmp_path / "file").touch()
    message = one_line_error(f"{server.url}/file", cache_dir=tmp_path / "file" / "below")
    assert "TSTITCH_CACHE" in message


@pytest.mark.parametrize(
    ("source", "wanted"),
    [
        ("gdrive:1a-B_c", "1a-B_c"),
        ("https://drive.google.com/file/d/1a-B_c/view?usp=sharing", "1a-B_c"),
        ("https://drive.google.com/file/u/0/d/1a-B_c/edit", "1a-B_c"),
        ("https://drive.google.com/open?id=1a-B_c", "1a-B_c"),
        ("https://drive.google.com/uc?export=download&id=1a-B_c&confirm=t", "1a-B_c"),
        ("https://drive.usercontent.google.com/download?id=1a-B_c", "1a-B_c"),
        ("https://example.org/file/d/1a-B_c/view?id=2", None),
    ],
)
def test_google_drive_id(source, wanted):
    """Catches: a link copied from the browser, fetched as the viewer's HTML page."""
    assert gdrive_id(source) == wanted


@pytest.mark.parametrize(
    "source", ["gdrive:", "gdrive:../x", "https://drive.google.com/drive/folders/1a-B_c"]
)
def test_google_drive_folder_or_bad_id(source):
    """Catches: a folder link, or path characters, that reach the download or the cache name."""
    assert "gdrive:ID" in one_line_error(source)


@pytest.mark.parametrize(
    ("head", "wanted"),
    [
        (PAGE, True),
        (b"\xef\xbb\xbf<HTML lang=en>", True),
        (b"PK\x03\x04<html>", False),
        (b"\x80\x02}<html", False),
        (b"", False),
    ],
)
def test_html_is_recognised(tmp_path, head, wanted):
    """Catches: pages that begin with blanks or a byte-order mark; weights that contain a tag."""
    path = tmp_path / "file"
    path.write_bytes(head)
    assert looks_like_html(path) is wanted
