"""Turns a path, a URL or a Google Drive id into a local file, cached and checked."""

import hashlib
import http.client
import logging
import os
import re
import shutil
import tempfile
import urllib.error
import urllib.parse
import urllib.request
from functools import cache
from pathlib import Path

log = logging.getLogger(__name__)

BLOCK_BYTES = 1 << 20
TIMEOUT_S = 60
GDRIVE_HOSTS = ("drive.google.com", "docs.google.com", "drive.usercontent.google.com")
BY_HAND = "or download the file by hand and give its local path"


class DownloadError(ValueError):
    """A file cannot be had, or is not the expected one; the message is a single line."""


def fetch(source: str, *, sha256: str | None = None, cache_dir: Path | None = None) -> Path:
    """Returns the local path of `source`, downloading it at most once.

    Several processes may fetch the same source at once: one downloads, the others wait for it.

    Args:
        source: a local file (`~` is expanded), an http(s) URL, `gdrive:ID` or a Google Drive link.
        sha256: expected digest, 64 hexadecimal digits; local files are checked too. None = any.
        cache_dir: folder of downloaded files. None = $TSTITCH_CACHE, else ~/.cache/tstitch.

    Raises:
        DownloadError: no such file, network failure, HTML instead of a file, or another digest.
    """
    source = str(source)
    if sha256 is not None and not re.fullmatch("[0-9a-fA-F]{64}", sha256):
        raise DownloadError(f"sha256={sha256}: must be 64 hexadecimal digits")
    if not is_remote(source):
        path = _local_file(source)
        _check_digest(path, source, sha256, f"replace {path} by the right file")
        return path

    from filelock import FileLock

    folder = Path(cache_dir or os.environ.get("TSTITCH_CACHE") or "~/.cache/tstitch").expanduser()
    target = folder / _cache_name(source)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / f"{target.name}.lock"):
            if target.is_file() and sha256 and sha256_of(target) != sha256.lower():
                log.warning("%s is not the expected file: downloading it again", target)
                target.unlink()
            if not target.is_file():
                _download(source, target, sha256)
    except OSError as error:
        reason = f"cannot use the cache {folder} ({one_line(error)})"
        raise DownloadError(f"{reason}; set TSTITCH_CACHE to a writable folder") from error
    return target


def sha256_of(path: str | Path) -> str:
    """SHA-256 of a file as 64 lower-case hexadecimal digits; one that stays is read once."""
    status = Path(path).stat()
    return _sha256(str(path), status.st_size, status.st_mtime_ns, status.st_ctime_ns)


@cache
def _sha256(path: str, *state: int) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def is_remote(source: str) -> bool:
    """Whether `source` names something to download, not a local path."""
    return source.startswith("gdrive:") or "://" in source


def gdrive_id(source: str) -> str | None:
    """The file id in `gdrive:ID` or in a Google Drive link; None for any other source."""
    if source.startswith("gdrive:"):
        found = source.removeprefix("gdrive:")
    else:
        url = _split(source)
        if url.hostname not in GDRIVE_HOSTS:
            return None
        in_path = re.search(r"/file/(?:u/\d+/)?d/([^/]+)", url.path)
        in_query = urllib.parse.parse_qs(url.query).get("id", [""])[0]
        found = in_path[1] if in_path else in_query
    if not re.fullmatch(r"[A-Za-z0-9_-]+", found):
        raise DownloadError(f"{source}: holds no Google Drive file id (a folder?); give gdrive:ID")
    return found


def looks_like_html(path: str | Path) -> bool:
    """Whether a file begins like a web page; no weight file or archive does."""
    with open(path, "rb") as file:
        head = file.read(512).removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    return head.startswith((b"<!doctype", b"<html", b"<head", b"<!--"))


def one_line(error: BaseException) -> str:
    """The text of an exception as one short line."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 200 else text[:197] + "..."


def _local_file(source: str) -> Path:
    path = Path(source).expanduser()
    if not source or not path.is_file():
        kind = "is a folder, not a file" if source and path.is_dir() else "no such file"
        raise DownloadError(f"{source!r}: {kind}; give a file, an http(s) URL or gdrive:ID")
    return path


def _check_digest(path: Path, source: str, sha256: str | None, remedy: str) -> None:
    if sha256 is not None and (found := sha256_of(path)) != sha256.lower():
        wanted = sha256.lower()
        raise DownloadError(f"{source}: sha256 is {found}, expected {wanted}; {remedy}")


def _split(url: str) -> urllib.parse.SplitResult:
    try:
        return urllib.parse.urlsplit(url)
    except ValueError as error:
        raise DownloadError(f"{url}: is not a URL ({one_line(error)})") from error


def _cache_name(source: str) -> str:
    """A file name that is unique per source and still tells what it is."""
    if (file_id := gdrive_id(source)) is not None:
        return f"gdrive-{file_id}"
    url = _split(source)
    if url.scheme not in ("http", "https") or not url.hostname:
        raise DownloadError(f"{source}: give a local file, an http(s) URL or gdrive:ID")
    base = re.sub("[^A-Za-z0-9._-]", "_", urllib.parse.unquote(url.path).rsplit("/", 1)[-1])
    return f"{hashlib.sha256(source.encode()).hexdigest()[:12]}-{base[-80:]}"


def _download(source: str, target: Path, sha256: str | None) -> None:
    """Downloads beside `target` and renames; the caller holds the lock."""
    for stale in target.parent.glob(f".{target.name}-*"):
        shutil.rmtree(stale, ignore_errors=True)  # left by a killed process
    log.info("downloading %s to %s", source, target)
    with tempfile.TemporaryDirectory(prefix=f".{target.name}-", dir=target.parent) as folder:
        part = Path(folder) / "part"
        file_id = gdrive_id(source)
        if file_id is None:
            _download_url(source, part)
        else:
            _download_gdrive(source, file_id, part)
        if looks_like_html(part):
            raise DownloadError(
                f"{source}: a web page came instead of the file, usually because of a download "
                f"limit or the sharing settings; try again later, {BY_HAND}"
            )
        remedy = f"correct the expected sha256 or the address, {BY_HAND}"
        _check_digest(part, source, sha256, remedy)
        os.replace(part, target)


def _download_url(url: str, part: Path) -> None:
    from tqdm import tqdm

    request = urllib.request.Request(url, headers={"User-Agent": "tstitch"})
    # ValueError: a host or path that cannot be encoded
    network = (urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError)
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as reply, open(part, "wb") as file:
            length = int(reply.headers.get("Content-Length") or 0)
            with tqdm(total=length or None, unit="B", unit_scale=True, disable=None) as bar:
                while block := reply.read(BLOCK_BYTES):
                    file.write(block)
                    bar.update(len(block))
            received = file.tell()
    except (*network, ValueError) as error:
        remedy = f"check the address and the network, {BY_HAND}"
        raise DownloadError(f"cannot download {url}: {one_line(error)}; {remedy}") from error
    if received < length:  # urllib ends a cut connection like a complete one
        cut = f"the connection ended after {received} of {length} bytes"
        raise DownloadError(f"cannot download {url}: {cut}; try again, {BY_HAND}")


def _download_gdrive(source: str, file_id: str, part: Path) -> None:
    import gdown

    try:
        gdown.download(id=file_id, output=str(part), quiet=True)
    except Exception as error:  # gdown lets requests', urllib3's and its own errors through
        remedy = f"check the network, the sharing settings and the download limit, {BY_HAND}"
        raise DownloadError(f"cannot download {source}: {one_line(error)}; {remedy}") from error
    if not part.is_file():
        raise DownloadError(f"cannot download {source}: Google Drive sent no file; {BY_HAND}")
