"""Packing: the same set comes out, and what is damaged or hostile does not."""

from __future__ import annotations

import json
import zipfile

import pytest

from sosie.datasets import pack as module
from sosie.datasets.pack import pack, unpack, verify_pack, verify_set
from sosie.datasets.store import FaceStore
from sosie.errors import InputError, OutputError, UsageError


def contents(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.fixture
def store(people, face_set):
    identities, names = people({"anna": 5, "ben": 3})
    return face_set(identities, names)[0]


@pytest.fixture
def packed(store, tmp_path):
    return pack(store, tmp_path / "set.zip")[0]


@pytest.fixture
def shards(store, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_LEAST", 0)
    return pack(store, tmp_path / "set.zip", shard_bytes=3000)


def rewritten(path, change):
    """The zip with another list of (name, content, settings of the entry)."""
    with zipfile.ZipFile(path) as archive:
        entries = [(i.filename, archive.read(i), {}) for i in archive.infolist()]
    with zipfile.ZipFile(path, "w") as archive:
        for name, content, settings in change(entries):
            info = zipfile.ZipInfo(name)
            for key, value in settings.items():
                setattr(info, key, value)
            archive.writestr(info, content)
    return path


def test_there_and_back(store, packed, tmp_path):
    number = unpack(packed, tmp_path / "again")
    assert contents(tmp_path / "again") == contents(store.folder)
    assert number == len(contents(store.folder))
    assert verify_pack(packed) == []
    assert verify_set(FaceStore.open(tmp_path / "again")) == []


def test_nothing_is_compressed_and_every_run_gives_the_same(store, packed, tmp_path):
    with zipfile.ZipFile(packed) as archive:
        assert {e.compress_type for e in archive.infolist()} == {zipfile.ZIP_STORED}
    assert pack(store, tmp_path / "b.zip")[0].read_bytes() == packed.read_bytes()


def test_shards(store, shards, tmp_path):
    assert [path.name for path in shards][:2] == ["set-000.zip", "set-001.zip"]
    assert len(shards) > 2
    assert unpack(shards[1], tmp_path / "again") == len(contents(store.folder))
    assert contents(tmp_path / "again") == contents(store.folder)
    assert verify_pack(shards[0]) == []


def test_a_shard_that_is_not_there(shards, tmp_path):
    shards[1].unlink()
    with pytest.raises(InputError, match="shard 001 is not there"):
        unpack(shards[0], tmp_path / "again")
    assert not (tmp_path / "again").exists()


def test_a_shard_of_another_set(shards, people, face_set, tmp_path):
    other, _ = face_set(*people({"cleo": 4}, seed=5), folder="other")
    pack(other, tmp_path / "other.zip", shard_bytes=3000)[0].replace(shards[0])
    with pytest.raises(InputError, match="different sets"):
        unpack(shards[1], tmp_path / "again")


@pytest.mark.parametrize(
    "name",
    ["../evil.png", "faces/../../evil.png", "/etc/evil", "faces\\..\\evil.png", "C:/evil.png",
     "faces//x.png", "evil.txt", "faces/./x.png"],
)  # fmt: skip
def test_names_that_lead_out_are_refused(packed, tmp_path, name):
    rewritten(packed, lambda entries: [*entries, (name, b"x", {})])
    with pytest.raises(InputError, match="not unpacked"):
        unpack(packed, tmp_path / "deep/again")
    assert not list(tmp_path.rglob("evil*"))
    assert not (tmp_path / "deep/again").exists()
    with pytest.raises(InputError):
        verify_pack(packed)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"external_attr": 0o120777 << 16}, "no plain file"),
        ({"compress_type": zipfile.ZIP_DEFLATED}, "compressed"),
    ],
)
def test_links_and_compressed_entries_are_refused(packed, tmp_path, settings, words):
    rewritten(packed, lambda entries: [*entries, ("faces/link.png", b"/etc", settings)])
    with pytest.raises(InputError, match=words):
        unpack(packed, tmp_path / "again")


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_an_entry_twice_is_refused(packed, tmp_path):
    rewritten(packed, lambda entries: [*entries, entries[0]])
    with pytest.raises(InputError, match="twice"):
        unpack(packed, tmp_path / "again")


def test_a_changed_picture_is_seen(packed, tmp_path):
    def change(entries):
        return [(n, c[:-1] + b"?" if n.endswith("png") else c, s) for n, c, s in entries]

    rewritten(packed, change)
    assert len(verify_pack(packed)) == 8
    with pytest.raises(InputError, match="not what was packed"):
        unpack(packed, tmp_path / "again")
    assert not (tmp_path / "again").exists()
    assert not list(tmp_path.glob(".again*"))


def test_a_missing_picture_is_seen(packed):
    rewritten(packed, lambda entries: [e for e in entries if not e[0].endswith("png")])
    assert len(verify_pack(packed)) == 8


def test_a_zip_cut_short(packed, tmp_path):
    packed.write_bytes(packed.read_bytes()[:-3000])
    with pytest.raises(InputError, match="no zip file, or damaged"):
        unpack(packed, tmp_path / "again")


@pytest.mark.parametrize("about", [None, {}, {"format": "x"}, [], {"version": 9}])
def test_zips_that_are_no_pack(packed, tmp_path, about):
    def change(entries):
        rest = [entry for entry in entries if entry[0] != "manifest.json"]
        if about is None:
            return rest
        old = json.loads({n: c for n, c, _ in entries}["manifest.json"])
        new = {**old, **about} if about else about
        return [*rest, ("manifest.json", json.dumps(new).encode(), {})]

    rewritten(packed, change)
    with pytest.raises(InputError, match=r"no set packed|update Sosie"):
        unpack(packed, tmp_path / "again")


def test_a_folder_that_holds_something(packed, tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full/mine.txt").write_text("mine")
    with pytest.raises(OutputError, match="not empty"):
        unpack(packed, tmp_path / "full")
    assert contents(tmp_path / "full") == {"mine.txt": b"mine"}


def test_no_room(packed, tmp_path, monkeypatch):
    usage = type("Usage", (), {"free": 100})
    monkeypatch.setattr("sosie.datasets.pack.shutil.disk_usage", lambda path: usage)
    with pytest.raises(OutputError, match="disk is full"):
        unpack(packed, tmp_path / "again")
    assert not (tmp_path / "again").exists()


def test_a_picture_that_went_leaves_no_shards(store, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_LEAST", 0)
    last = sorted((store.folder / "faces").rglob("*.png"))[-1]
    real = module._write_shard

    def lose(folder, path, *rest):
        last.unlink(missing_ok=True)
        real(folder, path, *rest)

    monkeypatch.setattr(module, "_write_shard", lose)
    with pytest.raises(InputError, match="is gone"):
        pack(store, tmp_path / "lost.zip", shard_bytes=3000)
    assert not list(tmp_path.glob("*lost*"))


def test_outputs_that_cannot_be(store, packed, tmp_path):
    with pytest.raises(UsageError, match="zip"):
        pack(store, tmp_path / "set.tar")
    with pytest.raises(UsageError, match="1 MB"):
        pack(store, tmp_path / "x.zip", shard_bytes=1000)
    with pytest.raises(OutputError, match="exists already"):
        pack(store, packed)


def test_verify_sees_what_is_wrong(store):
    folder = store.folder
    files = sorted((folder / "faces").rglob("*.png"))
    files[0].unlink()
    files[1].write_bytes(b"no picture")
    (files[2].parent / "stranger-0123456789abcdef.png").write_bytes(files[2].read_bytes())
    table = store.read(("id", "identity"))
    problems = verify_set(store)
    assert sum("cannot be read" in p for p in problems) == 1
    assert sum("belongs to no face" in p for p in problems) == 1
    assert len(problems) == 2, "a picture that was deleted by hand is no fault"
    store.update({"identity": {table["id"][3]: (table["identity"][3] * 2).tolist()}})
    store.update({"size_px": {table["id"][4]: 99}})
    problems = verify_set(store)
    assert any("unit length" in p for p in problems)
    assert any("99 x 99" in p for p in problems)
