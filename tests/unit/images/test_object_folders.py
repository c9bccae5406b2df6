"""Laws of images of stores: below an address, or of lists in text, CSV and Parquet."""

from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from labelgrid.basics.errors import ImageError, UsageError
from labelgrid.images import object_folders
from labelgrid.images.object_folders import list_objects, read_object_list
from labelgrid.storage.addresses import Address

URLS = ["s3://b/photos/x/1.png", "s3://b/photos/x/2.jpg", "s3://b/photos/y/1.png"]
IDS = ["x/1.png", "x/2.jpg", "y/1.png"]


def folders(place, roots=()) -> dict[str, list[str]]:
    return {found.root: found.image_ids for found in read_object_list(place, roots)}


def write_table(path: Path, **columns: list[object]) -> Path:
    parquet.write_table(pa.table(columns), path)
    return path


@pytest.fixture
def store(tmp_path):
    for name in ("b.PNG", "a/1.jpg", ".hidden/x.png", "notes.txt", "z.gif"):
        (tmp_path / "store" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "store" / name).write_bytes(b"abc")
    return Address(f"file://{tmp_path}/store")


@pytest.mark.parametrize("end", ["", "/"])
def test_the_images_below_an_address_are_listed_with_their_stamps(store, end):
    found = list_objects(Address(store + end))
    assert found.root == store
    assert found.image_ids == ["a/1.jpg", "b.PNG"]
    assert found.stamps[store.below("b.PNG")].size == 3
    assert dict(found.others) == {".txt": 1, ".gif": 1}


def test_an_address_without_images_is_refused(store):
    with pytest.raises(ImageError, match="no images below"):
        list_objects(store.below("nothing"))
    with pytest.raises(ImageError, match="does not list"):
        list_objects(Address("https://host/photos"))


def test_a_name_that_leads_elsewhere_is_left_out_or_refused(store, monkeypatch):
    names = ["a/../../x.png", "a//b.png", "c?.png", "good.png"]
    listed = [(store.below(name), None) for name in names]
    monkeypatch.setattr(object_folders, "list_below", lambda _: iter(listed))
    with pytest.raises(ImageError, match="empty part"):
        list_objects(store)
    left_out: dict[str, ImageError] = {}
    assert list_objects(store, left_out).image_ids == ["good.png"]
    assert set(left_out) == {"a//b.png", "c?.png"}


def test_a_text_of_addresses_has_ids_below_the_common_folder(tmp_path):
    path = tmp_path / "list.txt"
    path.write_text("\ufeff" + "\n\n".join(URLS) + "\n", encoding="utf-8")
    assert folders(path) == {"s3://b/photos": IDS}


@pytest.mark.parametrize("title", ["url", "URI", "image", "Path"])
def test_a_csv_has_a_column_of_them(title, tmp_path):
    path = tmp_path / "list.csv"
    rows = [f'{number},{url},"a, b"' for number, url in enumerate(URLS)]
    path.write_text("\n".join([f"id,{title},note", *rows]))
    assert folders(path) == {"s3://b/photos": IDS}


def test_a_csv_of_one_column_needs_no_title(tmp_path):
    path = tmp_path / "list.csv"
    path.write_text("\n".join(URLS))
    assert folders(path) == {"s3://b/photos": IDS}


@pytest.mark.parametrize(
    "columns", [{"whatever": URLS}, {"id": [1, 2, 3], "note": ["a"] * 3, "url": URLS}]
)
def test_a_parquet_table_has_a_column_of_them(columns, tmp_path):
    path = write_table(tmp_path / "list.parquet", **columns)
    assert folders(path) == {"s3://b/photos": IDS}


def test_a_dictionary_column_is_text_too(tmp_path):
    path = write_table(tmp_path / "list.parquet", url=pa.array(URLS).dictionary_encode())
    assert folders(path) == {"s3://b/photos": IDS}


@pytest.mark.parametrize("columns", [{"a": URLS, "b": URLS}, {"a": [1, 2, 3]}])
def test_a_table_without_such_a_column_is_refused_with_its_columns(columns, tmp_path):
    path = write_table(tmp_path / "list.parquet", **columns)
    with pytest.raises(ImageError, match="the columns are a"):
        folders(path)


def test_a_large_table_is_read_in_parts(tmp_path):
    path = tmp_path / "list.parquet"
    urls = [f"s3://b/photos/{number % 100}/{number:06d}.jpg" for number in range(100_000)]
    write_table(path, url=urls, note=["x" * 100] * len(urls))
    found = folders(path)
    assert list(found) == ["s3://b/photos"]
    assert found["s3://b/photos"][99_999] == "99/099999.jpg"


def test_a_list_in_a_store_may_have_paths_relative_to_it(store, tmp_path):
    (tmp_path / "store" / "list.txt").write_text("a/1.jpg\nb.PNG\n")
    assert folders(store.below("list.txt")) == {store: ["a/1.jpg", "b.PNG"]}


def test_paths_and_addresses_of_several_stores_have_roots_of_their_own(tmp_path):
    path = tmp_path / "list.txt"
    path.write_text("here/a.png\ns3://b/x/1.png\ngs://c/2.png\nhttps://h/i/3.png\ns3://b/y/4.png")
    assert folders(path) == {
        str(tmp_path): ["here/a.png"],
        "s3://b": ["x/1.png", "y/4.png"],
        "gs://c": ["2.png"],
        "https://h/i": ["3.png"],
    }


def test_ids_of_addresses_below_a_known_root_begin_there(tmp_path):
    path = tmp_path / "list.txt"
    path.write_text("s3://b/photos/x/9.png\ns3://b/other/1.png\n")
    roots = {"s3://b/photos", "s3://b/pho"}
    assert folders(path, roots) == {"s3://b/photos": ["x/9.png"], "s3://b/other": ["1.png"]}


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("s3://b/photos/x/1.png", "line 1 and line 2"),
        ("s3://b/a.gif", "extension"),
        ("../a.png", "leaves"),
        ("/etc/a.png", "leaves"),
        ("s3://b/../a.png", "empty part"),
    ],
)
def test_a_line_that_cannot_be_meant_is_refused_with_its_number(line, said, tmp_path):
    path = tmp_path / "list.txt"
    path.write_text(f"{URLS[0]}\n{line}\n")
    with pytest.raises(ImageError, match=said) as caught:
        folders(path)
    assert "line 2" in str(caught.value)


def test_a_line_with_a_secret_is_refused_and_not_repeated(tmp_path):
    path = tmp_path / "list.txt"
    path.write_text(f"{URLS[0]}\ns3://ann:hunter2@b/a.png\n")
    with pytest.raises(UsageError, match="line 2") as caught:
        folders(path)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "content"), [("a.parquet", b"no table"), ("a.csv", b"\xff\xfe"), ("a.txt", b"")]
)
def test_a_list_that_cannot_be_read_or_is_empty_is_refused(name, content, tmp_path):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ImageError):
        folders(tmp_path / name)
