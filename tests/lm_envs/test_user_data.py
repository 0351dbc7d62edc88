"""Rows of users: what is written comes back, what is wrong is named by its place, and splits share nothing."""

import csv
import json
from collections import namedtuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lm_envs import user_data
from lm_envs.spaces import well_formed
from lm_envs.user_data import DataError, read, read_split

TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00\r"), max_size=30)  # CSV itself can't hold these
ROWS = st.lists(st.tuples(TEXTS.filter(str.strip), TEXTS.filter(str.strip), TEXTS), min_size=1, max_size=8)
COLUMNS = {"required": ("text", "label"), "optional": ("domain",)}


def plain(values):
    return dict(values)


def known(values):
    if values["label"] not in ("good", "bad"):
        raise ValueError(f"label must be 'good' or 'bad', got {values['label']!r}")
    return values["text"], values["label"]


def as_csv(path, rows, header=("text", "label", "domain")):
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    return path


def as_jsonl(path, rows, header=("text", "label", "domain")):
    path.write_text("".join(json.dumps(dict(zip(header, row, strict=True))) + "\n" for row in rows), encoding="utf-8")
    return path


class DataSet:
    """What the data sets of Hugging Face look like from here."""

    Names = namedtuple("Names", "names")

    def __init__(self, rows, **names):
        self.rows, self.features = rows, {column: self.Names(listed) for column, listed in names.items()}

    def __iter__(self):
        return iter(self.rows)


# What is written comes back.


@settings(max_examples=60, deadline=None)
@given(rows=ROWS)
def test_all_forms_of_the_same_rows_read_alike(rows, tmp_path_factory):
    folder = tmp_path_factory.mktemp("rows")
    expected = [{"text": text.strip(), "label": label.strip(), "domain": domain.strip()} for text, label, domain in rows]
    mappings = [dict(zip(("text", "label", "domain"), row, strict=True)) for row in rows]
    sources = [rows, tuple(rows), [list(row) for row in rows], mappings, DataSet(mappings)]
    sources += [as_csv(folder / "rows.csv", rows), str(as_jsonl(folder / "rows.JSONL", rows))]
    for source in sources:
        assert read(source, plain, **COLUMNS) == expected


@settings(max_examples=100, deadline=None)
@given(texts=st.lists(st.text(), min_size=1, max_size=8))
def test_any_texts_are_read_or_refused_by_row(texts):
    clean = [well_formed(text).strip() for text in texts]
    if all(clean):
        assert read(texts, lambda values: values["text"], required=("text",)) == clean
    else:
        with pytest.raises(DataError) as caught:
            read(texts, plain, required=("text",))
        assert str(caught.value).startswith(
            f"the data: {clean.count('')} of {len(texts)} rows can't be used\n  row {clean.index('') + 1}: "
        )


@settings(max_examples=150, deadline=None)
@given(content=st.binary(max_size=200), suffix=st.sampled_from([".csv", ".jsonl"]))
def test_any_file_is_read_or_refused_by_name(content, suffix, tmp_path_factory):
    path = tmp_path_factory.mktemp("files") / f"any{suffix}"
    path.write_bytes(content)
    try:
        rows = read(path, plain, required=("text",))
    except DataError as error:
        assert path.name in str(error) and all(line.isprintable() for line in str(error).split("\n"))
    else:
        assert all(row["text"] for row in rows)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
)


@settings(max_examples=150, deadline=None)
@given(rows=st.lists(JSON | st.fixed_dictionaries({"text": JSON, "label": JSON}), max_size=4))
def test_any_rows_are_read_or_refused(rows, tmp_path_factory):
    path = tmp_path_factory.mktemp("files") / "any.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    for source in (rows, path):
        try:
            found = read(source, plain, required=("text", "label"))
        except DataError:
            continue
        assert all(type(row["text"]) is type(row["label"]) is str and row["text"] and row["label"] for row in found)


def test_columns_may_have_other_names_and_classes_are_named(tmp_path):
    names = {"text": "review", "label": "stars"}
    path = as_csv(tmp_path / "r.csv", [("So so", "meh", "x")], header=("review", "stars", "more"))
    assert read(path, plain, **COLUMNS, names=names) == [{"text": "So so", "label": "meh", "domain": ""}]
    data = DataSet([{"review": "Yes", "stars": 1}, {"review": "No", "stars": 0}], stars=["bad", "good"])
    assert [row["label"] for row in read(data, plain, **COLUMNS, names=names)] == ["good", "bad"]
    data.rows.append({"review": "?", "stars": -1})
    with pytest.raises(DataError, match="row 3: stars must be text, got -1"):
        read(data, plain, **COLUMNS, names=names)


def test_real_data_sets_and_frames():
    datasets = pytest.importorskip("datasets")
    pandas = pytest.importorskip("pandas")
    columns = {"text": ["Yes", "No", "Maybe", "So"], "label": [1, 0, 0, 1]}
    features = datasets.Features({"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["bad", "good"])})
    data = datasets.Dataset.from_dict(columns, features=features)
    expected = [("Yes", "good"), ("No", "bad"), ("Maybe", "bad"), ("So", "good")]
    assert read(data, known, required=("text", "label")) == expected
    both = datasets.DatasetDict(train=data.select([0, 1, 2]), test=data.select([2, 3]))
    how = {"key": lambda item: item[0], "required": ("text", "label")}
    assert read_split(both, "train", known, **how) == tuple(expected[:2])
    assert read_split(both, "test", known, **how) == tuple(expected[2:])
    frame = pandas.DataFrame({"text": ["Yes", "No"], "label": ["good", "bad"]})
    assert read(frame, known, required=("text", "label")) == expected[:2]


# What is wrong is named by its place.


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("a.csv", "text,label\nfine,good\n,bad\nx,y\n", "a.csv: 2 of 3 rows can't be used\n  line 3: text is empty\n  line 4: label must"),
        ("a.csv", 'text,label\n"two\nlines",good\nshort\n', "a.csv: 1 of 2 rows can't be used\n  line 4: 1 fields, the header has 2"),
        ("a.csv", "text;label\nfine;good\n", "line 2: no column 'text'; there is 'text;label'"),
        ("a.csv", 'text,label\n"open,good\n', "a.csv is not CSV, at line 2: unexpected end of data"),
        ("a.csv", "", "a.csv has no rows"),
        ("a.csv", "text,label\n", "a.csv has no rows"),
        ("a.jsonl", '{"text": "fine", "label": "good"}\n\n[1]\n{"text": 3}\n{', "line 3: expected a JSON object, got a list"),
        ("a.jsonl", '{"text": 3, "label": "good"}', "line 1: text must be text, got 3"),
        ("a.jsonl", '{"label": "good"}', "line 1: no column 'text'; there is 'label'"),
        ("a.jsonl", '{"text": "\\u001b[31m", "label": "\\u001b[31m"}', r"got '\x1b[31m'"),
        ("a.jsonl", "[" * 100_000, "line 1: not JSON"),
        ("a.txt", "fine", "'{path}' is neither a .csv nor a .jsonl file"),
    ],
)  # fmt: skip
def test_wrong_rows_are_listed_by_line(tmp_path, monkeypatch, name, content, problem):
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).write_text(content, encoding="utf-8")
    with pytest.raises(DataError) as caught:
        read(name, known, required=("text", "label"))
    assert problem.format(path=name) in str(caught.value)


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(DataError, match="can't read '.*none.csv': No such file"):
        read(tmp_path / "none.csv", plain, required=("text",))
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(DataError, match="can't read '.*folder.csv'"):
        read(tmp_path / "folder.csv", plain, required=("text",))
    with pytest.raises(DataError, match="can't read"):
        read("nul\0.csv", plain, required=("text",))
    (tmp_path / "latin.csv").write_bytes("text\ncafé\n".encode("latin-1"))
    with pytest.raises(DataError, match="latin.csv is not UTF-8 text"):
        read(tmp_path / "latin.csv", plain, required=("text",))


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        (7, "got 7"),
        (None, "got None"),
        (b"bytes", "got b'bytes'"),
        ({"text": ["x"]}, "expected a list of rows"),
        ((text for text in ("a", "b")), "a generator can't, a list of it can"),
        ([], "the data has no rows"),
        (["only text"], "row 1: expected a tuple or a mapping"),
        ([("a", "good", "film", "more")], "row 1: expected the values of text, label, domain, got 4"),
        ([("a",)], "row 1: expected the values of text, label, domain, got 1"),
        ([{f"column{n}": "x" for n in range(5000)}], "'column9', …"),
        ([("x" * 20_001, "good")], "row 1: text has 20,001 characters, at most 20,000 are read"),
        ([("x", True)], "row 1: label must be text, got True"),
    ],
)
def test_wrong_sources_are_refused(source, problem):
    with pytest.raises(DataError) as caught:
        read(source, plain, **COLUMNS)
    assert problem in str(caught.value) and len(str(caught.value)) < 400


def test_five_bad_rows_are_shown_and_the_rest_counted():
    with pytest.raises(DataError) as caught:
        read([("x", "y")] * 12 + [("x", "good")], known, required=("text", "label"))
    lines = str(caught.value).split("\n")
    assert lines[0] == "the data: 12 of 13 rows can't be used" and len(lines) == 7 and lines[-1] == "  and 7 more"


def test_too_many_rows_and_unknown_columns(monkeypatch):
    monkeypatch.setattr(user_data, "MAX_ROWS", 3)
    with pytest.raises(DataError, match="more than 3 rows"):
        read(["x"] * 4, plain, required=("text",))
    with pytest.raises(ValueError, match="columns must name some of 'text'; got 'txt'"):
        read(["x"], plain, required=("text",), names={"txt": "x"})


# Splits.


def split(source, name):
    return read_split(source, name, lambda values: values["text"], lambda text: text, required=("text",))


@settings(max_examples=100, deadline=None)
@given(texts=st.lists(st.text("abcde", min_size=1, max_size=3), min_size=2, max_size=60))
def test_splits_are_disjoint_whole_and_independent_of_order(texts):
    distinct = set(texts)
    if len(distinct) == 1:
        with pytest.raises(DataError, match="only one distinct text"):
            split(texts, "train")
        return
    train, test = split(texts, "train"), split(texts, "test")
    assert train and test and len(train) + len(test) == len(distinct) and {*train, *test} == distinct
    assert len(test) == -(-len(distinct) // 5)
    assert set(split(texts[::-1], "test")) == set(test)


def test_given_splits_are_kept_and_what_is_in_both_is_for_testing():
    source = {"train": ["a", "b", "b", "c"], "test": ["c", "d"], "validation": 5}
    assert split(source, "train") == ("a", "b") and split(source, "test") == ("c", "d")
    with pytest.raises(DataError, match="there is no 'test'"):
        split({"train": ["a"]}, "train")
    with pytest.raises(DataError, match="all rows of 'train' are in 'test' too"):
        split({"train": ["a"], "test": ["a"]}, "train")


def test_numbers_are_taken_where_they_are_asked_for():
    rows = [{"text": "a", "rating": 3}, {"text": "b", "rating": 2.5}, {"text": "c", "rating": "1"}]
    assert read(rows, lambda row: row["rating"], required=("text", "rating"), numbers=("rating",)) == ["3.0", "2.5", "1"]
    with pytest.raises(DataError, match="rating must be text, got 3"):
        read(rows, lambda row: row["rating"], required=("text", "rating"))
    with pytest.raises(DataError, match="rating must be text, got True"):
        read([{"text": "a", "rating": True}], lambda row: row["rating"], required=("text", "rating"), numbers=("rating",))
