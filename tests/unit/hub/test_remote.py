"""Pulling from a Hub: only what is needed, resumed, verified; every refusal typed."""

import os
import shutil
import subprocess
import sys
from collections import namedtuple
from dataclasses import replace
from pathlib import Path

import pytest

from ossia.errors import ConfigError, DiskSpaceError, DownloadError, HashMismatchError
from ossia.hub.remote import pull_repo
from ossia.hub.sources import find_models
from ossia.settings import Settings

REPO = "openai/gpt-oss-20b"
SHARD = "model-00000-of-00001.safetensors"
Usage = namedtuple("Usage", "total used free")


def blobs(settings: Settings) -> Path:
    return settings.hf_home / "hub" / "models--openai--gpt-oss-20b" / "blobs"


def test_fetches_only_what_is_needed_into_the_shared_cache(settings, hub):
    snapshot = pull_repo(REPO, settings, endpoint=hub.url)
    wanted = {name for name in hub.files if "/" not in name and name != "README.md"}
    assert {path.name for path in snapshot.iterdir()} == wanted
    assert all((snapshot / name).read_bytes() == hub.files[name] for name in wanted)
    assert hub.agents
    assert not any("numpy" in agent or "torch" in agent for agent in hub.agents)
    assert not any("original" in path or "metal" in path for _, path, _ in hub.requests)


def test_the_cache_is_laid_out_as_huggingface_hub_reads_it(settings, hub):
    from huggingface_hub import snapshot_download

    pulled = pull_repo(REPO, settings, endpoint=hub.url)
    found = snapshot_download(REPO, cache_dir=settings.hf_home / "hub", local_files_only=True)
    assert Path(found) == pulled
    assert {path.name for path in blobs(settings).iterdir()} == {
        hub.digest(path.name) for path in pulled.iterdir()
    }


def test_progress_ends_at_the_total(settings, hub):
    seen: list[tuple[str, int, int]] = []
    pull_repo(REPO, settings, endpoint=hub.url, progress=lambda *step: seen.append(step))
    total = sum(len(data) for name, data in hub.files.items() if "/" not in name and name != "README.md")
    assert seen[-1] == (REPO, total, total)
    fetched = [done for what, done, _ in seen if what == REPO]
    assert fetched == sorted(fetched)
    assert (f"checking {SHARD}", len(hub.files[SHARD]), len(hub.files[SHARD])) in seen


def test_a_cut_connection_is_resumed_where_it_broke(settings, hub):
    hub.cut_after = {SHARD: 100_000}
    hub.cuts = 2
    snapshot = pull_repo(REPO, settings, endpoint=hub.url)
    assert hub.fetched(SHARD) == [None, "bytes=100000-", "bytes=200000-"]
    assert (snapshot / SHARD).read_bytes() == hub.files[SHARD]


def test_an_interrupted_pull_goes_on_in_the_next_run(settings, hub):
    hub.cut_after, hub.cuts = {SHARD: 0}, 10**6
    with pytest.raises(DownloadError, match=r"0 bytes of 307\.2 kB") as caught:
        pull_repo(REPO, settings, endpoint=hub.url)
    assert "kept" in caught.value.remedy
    partial = blobs(settings) / f"{hub.digest(SHARD)}.incomplete"
    partial.write_bytes(hub.files[SHARD][:123_456])
    [model] = find_models(settings)
    assert not model.complete

    hub.cuts = 0
    hub.requests.clear()
    snapshot = pull_repo(REPO, settings, endpoint=hub.url)
    assert hub.fetched(SHARD) == ["bytes=123456-"]
    assert hub.fetched("config.json") == []  # what was whole is not fetched again
    assert (snapshot / SHARD).read_bytes() == hub.files[SHARD]
    assert not partial.exists()
    assert find_models(settings)[0].complete


def test_a_server_without_ranges_starts_the_file_over(settings, hub):
    blobs(settings).mkdir(parents=True)
    (blobs(settings) / f"{hub.digest(SHARD)}.incomplete").write_bytes(b"x" * 5000)
    hub.ignore_range = True
    assert (pull_repo(REPO, settings, endpoint=hub.url) / SHARD).read_bytes() == hub.files[SHARD]


def test_a_partial_file_longer_than_the_whole_is_dropped(settings, hub):
    blobs(settings).mkdir(parents=True)
    (blobs(settings) / f"{hub.digest(SHARD)}.incomplete").write_bytes(b"x" * 400_000)
    assert (pull_repo(REPO, settings, endpoint=hub.url) / SHARD).read_bytes() == hub.files[SHARD]


def test_a_busy_server_is_asked_again(settings, hub):
    hub.busy = 3
    assert pull_repo(REPO, settings, endpoint=hub.url).is_dir()


def test_a_wrong_hash_is_refused_and_nothing_of_it_kept(settings, hub):
    hub.wrong_bytes = {SHARD}
    with pytest.raises(HashMismatchError) as caught:
        pull_repo(REPO, settings, endpoint=hub.url)
    assert caught.value.limit == hub.digest(SHARD)
    assert f"ossia pull {REPO}" in caught.value.remedy
    assert not [path for path in blobs(settings).iterdir() if path.name.startswith(hub.digest(SHARD))]
    hub.wrong_bytes = set()
    assert (pull_repo(REPO, settings, endpoint=hub.url) / SHARD).read_bytes() == hub.files[SHARD]


def test_a_wrong_hash_of_a_small_file_is_refused_too(settings, hub):
    hub.wrong_bytes = {"tokenizer.json"}
    with pytest.raises(HashMismatchError):
        pull_repo(REPO, settings, endpoint=hub.url)


def test_pulling_again_mends_a_damaged_file(settings, hub):
    snapshot = pull_repo(REPO, settings, endpoint=hub.url)
    damaged = (snapshot / SHARD).resolve()
    damaged.write_bytes(b"\0" * len(hub.files[SHARD]))
    hub.requests.clear()
    pull_repo(REPO, settings, endpoint=hub.url)
    assert (snapshot / SHARD).read_bytes() == hub.files[SHARD]
    assert hub.fetched("model-00001-of-00001.safetensors") == []


def test_free_disk_is_checked_against_the_sum_before_anything_is_fetched(settings, hub, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(10**9, 10**9 - 500_000, 500_000))
    with pytest.raises(DiskSpaceError) as caught:
        pull_repo(REPO, settings, endpoint=hub.url)
    wanted = sum(len(data) for name, data in hub.files.items() if "/" not in name and name != "README.md")
    assert (caught.value.value, caught.value.limit) == (wanted, 500_000)
    assert not [path for _, path, _ in hub.requests if "/resolve/" in path]


def test_another_architecture_is_refused_before_its_weights(settings, hub):
    hub.files["config.json"] = b'{"model_type": "llama"}'
    with pytest.raises(ConfigError, match="llama"):
        pull_repo(REPO, settings, endpoint=hub.url)
    assert hub.fetched(SHARD) == []


def test_a_repository_without_safetensors_is_refused(settings, hub):
    hub.files = {"config.json": b"{}", "model.gguf": b"GGUF"}
    with pytest.raises(DownloadError, match="safetensors"):
        pull_repo(REPO, settings, endpoint=hub.url)


@pytest.mark.parametrize(
    ("refuse", "words"),
    [
        ((404, "RepoNotFound"), "has no model called"),
        ((401, ""), "has no model called"),
        ((403, "GatedRepo"), "gated"),
        ((403, ""), "HTTP 403"),
        ((400, ""), "HTTP 400"),
    ],
)
def test_refusals_are_typed_with_a_remedy(settings, hub, refuse, words):
    hub.refuse = refuse
    with pytest.raises(DownloadError, match=words) as caught:
        pull_repo(REPO, settings, endpoint=hub.url)
    assert caught.value.remedy


def test_a_login_page_in_the_hubs_place_is_typed(settings, hub):
    hub.page = b"<html>Please log in</html>"
    with pytest.raises(DownloadError, match="cannot be asked for") as caught:
        pull_repo(REPO, settings, endpoint=hub.url)
    assert "login page" in caught.value.remedy


def test_a_name_the_hub_cannot_have_is_typed(settings, hub):
    with pytest.raises(DownloadError, match="cannot be asked for") as caught:
        pull_repo("a--b/c..d", settings, endpoint=hub.url)
    assert caught.value.limit == "owner/name"


def test_an_unreachable_hub_is_typed(settings):
    with pytest.raises(DownloadError, match="cannot be reached"):
        pull_repo(REPO, settings, endpoint="http://127.0.0.1:9")


def test_offline_mode_fetches_nothing(settings, hub):
    with pytest.raises(DownloadError, match="HF_HUB_OFFLINE"):
        pull_repo(REPO, replace(settings, offline=True), endpoint=hub.url)
    assert hub.requests == []


@pytest.mark.skipif(os.name != "posix", reason="file-size limits are POSIX's")
def test_a_full_disk_is_typed_and_what_arrived_kept(settings, hub):
    script = f"""
import resource, sys
from ossia.errors import DiskSpaceError
from ossia.hub.remote import pull_repo
from ossia.settings import load_settings
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
try:
    pull_repo({REPO!r}, load_settings(), endpoint={hub.url!r})
except DiskSpaceError as error:
    sys.exit(0 if error.remedy else 2)
sys.exit(1)
"""
    env = os.environ | {"HF_HOME": str(settings.hf_home), "OSSIA_HOME": str(settings.data_dir.parent)}
    assert subprocess.run([sys.executable, "-c", script], env=env, check=False).returncode == 0
    assert not (blobs(settings) / hub.digest(SHARD)).exists()
    assert (blobs(settings) / f"{hub.digest(SHARD)}.incomplete").stat().st_size == 200_000
    assert (pull_repo(REPO, settings, endpoint=hub.url) / SHARD).read_bytes() == hub.files[SHARD]
    assert hub.fetched(SHARD)[-1] == "bytes=200000-"
