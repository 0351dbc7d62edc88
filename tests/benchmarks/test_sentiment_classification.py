"""The classifiers and their regression on small data, and the command on the bundled texts."""

import json

import numpy as np
import pytest
from scipy import sparse

from benchmarks.__main__ import SENTIMENT_CLASSIFIERS, main
from benchmarks.experiments.sentiment_classification import classifiers, regression, sweep
from lm_envs.assets import AssetError
from lm_envs.envs.sentiment_classification import texts as sources
from lm_envs.envs.sentiment_classification.texts import DOMAINS

TEXTS = ["good film", "good book", "bad film", "bad book", "a film", "a book"] * 5
LABELS = np.array([2, 2, 0, 0, 1, 1] * 5)
ALL = [0, 1, 2]


def test_regression_finds_what_separates():
    rng = np.random.default_rng(0)
    rows = sparse.csr_matrix(rng.normal(size=(60, 4)))
    labels = np.where(rows.toarray()[:, 0] > 0, 2, 0)
    assert (regression.fit(rows, labels, 1e-5)(rows) == labels).all()
    assert (regression.fit_by_validation(rows, labels)(rows) == labels).mean() > 0.9


def test_regression_is_the_minimum():
    """One feature, two labels as frequent: the derivative at the fitted weight is 0, by a formula of its own."""
    x = np.array([-1.0, -0.5, 0.5, 2.0, 1.0, -2.0])
    y = np.array([0, 1, 1, 1, 0, 0])
    boundary = regression.fit(sparse.csr_matrix(x[:, None]), y, 0.1)
    grid = np.linspace(-3, 3, 6001)
    called = boundary(sparse.csr_matrix(grid[:, None]))
    found = grid[np.flatnonzero(np.diff(called))[0]]

    def loss(weight, bias):  # of the difference of the two labels' weights, each half of it
        return np.mean(np.logaddexp(0, np.where(y == 1, -1, 1) * (weight * x + bias))) + 0.1 / 2 * 2 * (weight / 2) ** 2

    weights = np.linspace(0, 3, 301)
    biases = np.linspace(-1, 1, 201)
    losses = np.array([[loss(w, b) for b in biases] for w in weights])
    best = np.unravel_index(losses.argmin(), losses.shape)
    assert found == pytest.approx(-biases[best[1]] / weights[best[0]], abs=0.03)


def test_rare_labels_weigh_as_much():
    x = np.array([[1.0]] * 90 + [[-1.0]] * 10)
    y = np.array([2] * 80 + [0] * 10 + [0] * 10)
    assert regression.fit(sparse.csr_matrix(x), y, 1e-5)(sparse.csr_matrix([[1.0], [-1.0]])).tolist() == [2, 0]


@pytest.mark.parametrize("name", ["tf-idf", "vader", "judge"])
def test_classifiers_tell_good_from_bad(name):
    predict = classifiers.CLASSIFIERS[name](TEXTS, LABELS, ALL)
    assert predict(["good film", "bad film", "a film"]).tolist() == [2, 0, 1]
    assert predict([""]).shape == (1,)


def test_lexicons_choose_a_side_where_neutral_is_not_offered():
    for name in ("vader", "judge"):
        assert classifiers.CLASSIFIERS[name](TEXTS, LABELS, [0, 2])(["a film"]).tolist() == [0]


def test_majority_says_what_is_most_frequent():
    assert classifiers.majority(["x"] * 3, np.array([0, 2, 2]), ALL)(["y"] * 2).tolist() == [2, 2]


def test_tf_idf_rows_have_length_1():
    columns = {"good": 0, "film": 1, "good film": 2}
    rows = classifiers._tf_idf_rows(["good good film", "other"], columns, np.array([1.0, 2.0, 3.0])).toarray()
    expected = np.array([(1 + np.log(2)) * 1, 2, 3])
    np.testing.assert_allclose(rows, [expected / np.linalg.norm(expected), [0, 0, 0]])


def test_each_embedding_is_made_once(monkeypatch):
    asked = []
    monkeypatch.setattr(classifiers.embeddings, "embed", lambda texts: asked.append(list(texts)) or np.ones((len(texts), 3), np.float32))
    monkeypatch.setattr(classifiers, "_read", {})
    assert classifiers._embedded(["a", "b", "a"]).shape == (3, 3) and classifiers._embedded(["b", "c"]).shape == (2, 3)
    assert asked == [["a", "b"], ["c"]]


def test_majority_is_chance_and_training_elsewhere_is_another_result():
    study = sweep.Study(data="bundled", episodes=60, classifiers=("majority", "tf-idf"))
    results = sweep.run(study)
    assert len(results) == len(DOMAINS) * (1 + 1 + len(DOMAINS))
    for domain in DOMAINS:
        chance = sweep.of(results, "majority", "all", domain)
        assert abs(chance.reward) < 0.3 and chance.reward == pytest.approx(1.5 * chance.scores.accuracy - 0.5)
        assert sweep.of(results, "tf-idf", "all", domain).reward > chance.reward
    assert sweep.of(results, "tf-idf", "film", "news").scores != sweep.of(results, "tf-idf", "news", "news").scores


def test_the_command_writes_table_picture_and_json(tmp_path, capsys):
    names = ["majority", "vader", "tf-idf"]
    command = [
        "sentiment-classification",
        "--data",
        "bundled",
        "--labels",
        "2",
        "--episodes",
        "40",
        "--out",
        str(tmp_path),
        "--classifiers",
    ]
    assert main([*command, *names]) == 0
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["study"]["classifiers"] == names and summary["machine"]["python"]
    assert {(row["classifier"], row["trained"]) for row in summary["results"]} == {
        *((name, "all") for name in names), *(("tf-idf", domain) for domain in DOMAINS),
    }  # fmt: skip
    assert all(row["by_label"].keys() == {"negative", "positive"} for row in summary["results"])
    assert (tmp_path / "classification.png").read_bytes().startswith(b"\x89PNG")
    table = (tmp_path / "table.md").read_text()
    assert table.count("| mean |") == len(names) and "tf-idf: macro F1" in table
    assert "Transfer of tf-idf" in capsys.readouterr().out


def test_data_that_cannot_be_had_are_one_line(monkeypatch, tmp_path, capsys):
    def fail():
        raise AssetError("no network; `python -m lm_envs assets fetch hutto` fetches it")

    monkeypatch.setattr("lm_envs.assets.hutto_texts", fail)
    sources.hutto.cache_clear()
    assert main(["sentiment-classification", "--out", str(tmp_path)]) == 1
    assert capsys.readouterr().err == (
        "python -m benchmarks sentiment-classification: no network; `python -m lm_envs assets fetch hutto` fetches it\n"
    )


def test_the_command_knows_all_classifiers():
    assert tuple(classifiers.CLASSIFIERS) == SENTIMENT_CLASSIFIERS
