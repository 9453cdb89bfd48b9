"""Fetching a model's files from the Hugging Face Hub into the cache every program shares.

huggingface_hub lists the files, authorises, and lays out the cache (snapshots, refs). The bytes themselves
are streamed here, because its own transfer starts a file over after an interruption and compares sizes
only: a 4.8 GB shard must resume where it stopped, and its hash must be the published one. A file is
``blobs/<hash>.incomplete`` until it is whole and right.
"""

import re
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import httpx2
from filelock import FileLock
from huggingface_hub import (
    HfApi,
    constants,
    hf_hub_download,  # pyright: ignore[reportUnknownVariableType]
    hf_hub_url,
)
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
)
from huggingface_hub.utils import (
    build_hf_headers,  # pyright: ignore[reportUnknownVariableType]
    get_session,
    hf_raise_for_status,
)

from ossia.errors import ConfigError, DownloadError, HashMismatchError
from ossia.hub.cache import digest_of, full_disk_is_typed, hf_hub_dir, human, require_disk, write_atomic
from ossia.hub.progress import Progress, silent
from ossia.hub.sources import read_config
from ossia.settings import Settings

_SMALL = (
    "config.json",
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "chat_template.jinja",
    "model.safetensors.index.json",
)
_DIGEST = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_WEIGHTS = "model*.safetensors"
_TRIES = 5  # connections in a row that bring nothing before giving up
_TIMEOUT = httpx2.Timeout(30.0, connect=10.0)
RETRY_WAIT_S = 1.0
_TRANSIENT = (408, 429, 500, 502, 503, 504)


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """One file of a repository; `digest` (SHA-256, or git's SHA-1 of a small file) names it in the cache."""

    path: str
    size: int
    digest: str


class _CutError(Exception):
    """A transfer ended early in a way that trying again may mend."""


def pull_repo(
    repo: str, settings: Settings, *, progress: Progress = silent, endpoint: str | None = None
) -> Path:
    """Fetch what is needed to run `repo` (config, tokenizer, safetensors) and return the snapshot folder.

    Resumes partial files, verifies every hash, checks free disk against the summed sizes first and the
    model's architecture before the weights. `endpoint` defaults to HF_ENDPOINT or huggingface.co. Raises
    DownloadError, DiskSpaceError, HashMismatchError, ConfigError. The caller holds the lock of `repo`.
    """
    if settings.offline:
        raise _offline(repo)
    constants.HF_HUB_DISABLE_TELEMETRY = True  # or the user agent would list the libraries installed here
    with _hub_errors_typed(repo, endpoint):
        commit, files = list_files(repo, endpoint=endpoint)
        storage = hf_hub_dir(settings) / f"models--{repo.replace('/', '--')}"
        wanted = choose_files(repo, files)
        require_disk(storage, sum(_left(file, storage / "blobs") for file in wanted), f"pulling {repo}")
        transfer = _Transfer(repo, commit, settings, endpoint, progress, sum(file.size for file in wanted))
        small = [file for file in wanted if not file.path.endswith(".safetensors")]
        snapshot = transfer.fetch(small)
        _require_gpt_oss(repo, snapshot)
        transfer.fetch([file for file in wanted if file not in small])
        write_atomic(storage / "refs" / "main", commit.encode(), mode=0o644)
    return snapshot


def list_files(repo: str, *, endpoint: str | None = None) -> tuple[str, list[RemoteFile]]:
    """The commit `main` stands at, and every file of it with size and hash."""
    info = HfApi(endpoint=endpoint, library_name="ossia").model_info(repo, files_metadata=True, timeout=30.0)
    assert info.sha is not None, "the Hub always names the commit"
    files = [
        RemoteFile(item.rfilename, item.size or 0, item.lfs.sha256 if item.lfs else item.blob_id or "")
        for item in info.siblings or ()
    ]
    return info.sha, files


def choose_files(repo: str, files: Sequence[RemoteFile]) -> list[RemoteFile]:
    """The files of `repo` that Ossia reads, small ones first: not original/, metal/ nor other formats.

    Raises DownloadError when there is no config.json or no safetensors among them.
    """
    small = [file for file in files if file.path in _SMALL]
    weights = [file for file in files if "/" not in file.path and fnmatch(file.path, _WEIGHTS)]
    for file in (*small, *weights):
        if not _DIGEST.fullmatch(file.digest):  # it becomes a file name here
            raise DownloadError(
                f"the Hub gives no usable hash for {file.path} of {repo}",
                value=file.digest,
                limit="40 or 64 hex digits",
                remedy="Try again later, or ask the owner of the repository.",
            )
    if not weights or not any(file.path == "config.json" for file in small):
        raise DownloadError(
            f"{repo} holds no config.json with model*.safetensors",
            value=repo,
            limit=["config.json", _WEIGHTS],
            remedy="Ossia pulls gpt-oss checkpoints as safetensors, for example openai/gpt-oss-20b.",
        )
    return [*small, *sorted(weights, key=lambda file: file.path)]


class _Transfer:
    """Brings files of one commit into the cache and keeps count of the bytes for one progress bar."""

    def __init__(
        self, repo: str, commit: str, settings: Settings, endpoint: str | None, progress: Progress, total: int
    ) -> None:
        self._repo, self._commit, self._endpoint = repo, commit, endpoint
        self._cache = hf_hub_dir(settings)
        self._storage = self._cache / f"models--{repo.replace('/', '--')}"
        self._progress, self._total, self._before = progress, total, 0

    def fetch(self, files: Sequence[RemoteFile]) -> Path:
        """Fetch `files`, link them into the snapshot, and return its folder."""
        (self._storage / "blobs").mkdir(parents=True, exist_ok=True)
        for file in files:
            self._fetch_one(file)
            hf_hub_download(
                self._repo, file.path, revision=self._commit, cache_dir=self._cache, endpoint=self._endpoint
            )
            self._before += file.size
            self._say(0)
        return self._storage / "snapshots" / self._commit

    def _fetch_one(self, file: RemoteFile) -> None:
        blob = self._storage / "blobs" / file.digest
        lock = self._cache / ".locks" / self._storage.name / f"{file.digest}.lock"  # huggingface_hub's own
        lock.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(lock), full_disk_is_typed(self._storage, file.path):
            if blob.is_file() and self._is_right(file, blob):
                return
            partial = blob.with_name(f"{blob.name}.incomplete")
            self._stream_all(file, partial)
            if not self._is_right(file, partial):
                raise HashMismatchError(
                    f"{file.path} of {self._repo} arrived with another hash than the published one",
                    value=str(partial),
                    limit=file.digest,
                    remedy=f"What arrived was removed. Run again: ossia pull {self._repo}",
                )
            partial.replace(blob)

    def _is_right(self, file: RemoteFile, copy: Path) -> bool:
        """Whether `copy` has the published hash; one that has not is removed."""

        def say(_: str, done: int, total: int) -> None:
            self._progress(f"checking {file.path}", done, total)

        progress = say if file.path.endswith(".safetensors") else silent
        if (
            copy.stat().st_size == file.size
            and digest_of(copy, file.digest, progress=progress) == file.digest
        ):
            return True
        copy.unlink()
        return False

    def _stream_all(self, file: RemoteFile, partial: Path) -> None:
        """Make `partial` as long as `file`, over as many connections as it takes."""
        failures = 0
        while (
            have := partial.stat().st_size if partial.exists() else 0
        ) != file.size or not partial.exists():
            if have > file.size:
                partial.unlink()
                continue
            try:
                self._stream(file, partial, have)
            except (_CutError, httpx2.TransportError) as error:
                arrived = partial.stat().st_size if partial.exists() else 0
                failures = 0 if arrived > have else failures + 1
                if failures >= _TRIES:
                    raise _cut(self._repo, file, arrived) from error
                time.sleep(RETRY_WAIT_S * 2**failures)

    def _stream(self, file: RemoteFile, partial: Path, have: int) -> None:
        """One connection: append what the server sends from byte `have` on."""
        url = hf_hub_url(self._repo, file.path, revision=self._commit, endpoint=self._endpoint)
        headers: dict[str, Any] = {**build_hf_headers(library_name="ossia"), "Accept-Encoding": "identity"}
        if have:
            headers["Range"] = f"bytes={have}-"
        with get_session().stream("GET", url, headers=headers, timeout=_TIMEOUT) as response:
            if response.status_code in _TRANSIENT:
                raise _CutError(f"HTTP {response.status_code}")
            if response.status_code == 416:  # the partial file is not a beginning of this one
                partial.unlink(missing_ok=True)
                raise _CutError("range refused")
            hf_raise_for_status(response)
            resumed = response.status_code == 206
            with partial.open("ab" if resumed else "wb") as out:
                for chunk in response.iter_raw():  # as it arrives: a cut loses nothing
                    out.write(chunk)
                    self._say(out.tell())

    def _say(self, done: int) -> None:
        self._progress(self._repo, min(self._before + done, self._total), self._total)


def _left(file: RemoteFile, blobs: Path) -> int:
    """Bytes still to come for `file`, given what the cache already has."""
    if (blobs / file.digest).is_file():
        return 0
    partial = blobs / f"{file.digest}.incomplete"
    return max(0, file.size - (partial.stat().st_size if partial.exists() else 0))


def _require_gpt_oss(repo: str, snapshot: Path) -> None:
    kind = read_config(snapshot).get("model_type")
    if kind != "gpt_oss":
        raise ConfigError(
            f"{repo} is a {kind} model; Ossia runs gpt_oss models",
            value=kind,
            limit="gpt_oss",
            remedy="Its weights were not fetched. Try openai/gpt-oss-20b, or pocket for a small one.",
        )


@contextmanager
def _hub_errors_typed(repo: str, endpoint: str | None) -> Generator[None]:
    """Turn what huggingface_hub and its HTTP client raise into DownloadError with a remedy."""
    where = endpoint or constants.ENDPOINT
    try:
        yield
    except OfflineModeIsEnabled as error:
        raise _offline(repo) from error
    except GatedRepoError as error:
        raise DownloadError(
            f"{repo} is gated: its owner asks you to accept terms first",
            value=repo,
            remedy=f"Accept them at {where}/{repo}, log in with `hf auth login`, and run again.",
        ) from error
    except HfHubHTTPError as error:
        if isinstance(error, RepositoryNotFoundError) or error.response.status_code == 401:
            raise DownloadError(  # to a stranger a private repository does not exist
                f"{where} has no model called {repo} (or it is private)",
                value=repo,
                remedy="Check the name; for a private model log in with `hf auth login`.",
            ) from error
        raise DownloadError(
            f"{where} refused {repo}: HTTP {error.response.status_code}",
            value=error.response.status_code,
            remedy="Try again later; what already arrived is kept.",
        ) from error
    except ValueError as error:  # a name the Hub cannot have, or a page in its place
        raise DownloadError(
            f"{where} cannot be asked for {repo}: {(str(error) or type(error).__name__).splitlines()[0]}",
            value=repo,
            limit="owner/name",
            remedy="Check the name, and that no login page of the network answers in the Hub's place.",
        ) from error
    except (httpx2.TransportError, LocalEntryNotFoundError) as error:
        raise DownloadError(
            f"{where} cannot be reached: {(str(error) or type(error).__name__).splitlines()[0]}",
            value=where,
            remedy="Check the connection and run again; what already arrived is kept. "
            "Models that are here run without any connection: ossia models",
        ) from error


def _offline(repo: str) -> DownloadError:
    return DownloadError(
        f"HF_HUB_OFFLINE is set, so {repo} is not fetched",
        value=repo,
        remedy="Unset HF_HUB_OFFLINE to pull. Models that are here run without it: ossia models",
    )


def _cut(repo: str, file: RemoteFile, have: int) -> DownloadError:
    return DownloadError(
        f"the connection broke {_TRIES} times in a row at {human(have)} of {human(file.size)} of {file.path}",
        value=have,
        limit=file.size,
        remedy=f"What arrived is kept. Run again to go on from there: ossia pull {repo}",
    )
