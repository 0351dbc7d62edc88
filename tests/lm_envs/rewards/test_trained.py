"""Trained reward models: what their file may say, and scores against the classifier below them."""

import copy
import json
import pickle

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch")

from lm_envs import rewards  # noqa: E402
from lm_envs.rewards import HFClassifier, TrainedReward  # noqa: E402
from lm_envs.rewards.trained import FILE, RewardSpec, conversation, is_trained, shared  # noqa: E402
from lm_envs.types import Exchange  # noqa: E402
from tests.lm_envs.rewards.exchanges import exchange  # noqa: E402
from tests.lm_envs.rewards.test_classifier import save_bert  # noqa: E402

REPLIES = ["good", "the film was not very good !", "", "bad bad bad", "🙂"]


@pytest.fixture
def single(tmp_path):
    folder = save_bert(tmp_path / "single", ["score"], problem_type="regression")
    RewardSpec("preference", "likes", scale=2.0, offset=-1.0, max_length=16, about={"data": "own"}).save(folder)
    return folder


def test_scores_are_the_calibrated_outputs_of_the_model(single):
    exchanges = [exchange(reply) for reply in REPLIES]
    raw = HFClassifier(single, max_length=16)(exchanges).tolist()
    model = TrainedReward(single)
    assert model.name == "likes"
    assert model(exchanges) == pytest.approx([2 * score - 1 for score in raw], abs=1e-5)
    assert model.raw(exchanges) == pytest.approx(raw, abs=1e-5)
    assert TrainedReward(single, batch_size=1)(exchanges) == pytest.approx(model(exchanges), abs=1e-5)
    assert model([]) == []


def test_labels_give_an_expected_rating(tmp_path):
    folder = save_bert(tmp_path / "three", ["neg", "mid", "pos"])
    RewardSpec("label", "stars", values=(-2.0, 0.0, 3.0), max_length=16, scale=1.0, offset=0.5).save(folder)
    exchanges = [exchange(reply) for reply in REPLIES]
    expected = HFClassifier(folder, output="expected", values={0: -2.0, 1: 0.0, 2: 3.0}, max_length=16)(exchanges).tolist()
    assert TrainedReward(folder)(exchanges) == pytest.approx([score + 0.5 for score in expected], abs=1e-5)


def test_a_conversation_is_read_by_speaker_and_its_end_counts(tmp_path):
    said = Exchange(
        (
            {"role": "system", "content": "Rules."},
            {"role": "user", "content": "good ?"},
            {"role": "tool", "content": "{}", "name": "t"},
            {"role": "assistant", "content": "bad"},
        )
    )
    assert conversation(said) == "user: good ?\nassistant: bad"
    folder = save_bert(tmp_path / "single", ["score"], problem_type="regression")
    RewardSpec("regression", "chat", reads="conversation", max_length=16).save(folder)
    model = TrainedReward(folder)
    assert model([said]) != pytest.approx(model([exchange("bad", user="bad")]), abs=1e-4)


def test_the_folder_is_a_name_of_the_reward(single):
    assert is_trained(single) and not is_trained(single / "none") and not is_trained("a\0b")
    model = rewards.resolve(str(single))
    assert model is rewards.resolve(str(single)) is shared(single)
    assert rewards.score(model, [exchange("good")])[0].components.keys() == {"likes"}
    with pytest.raises(ValueError, match="unknown reward model"):
        rewards.resolve(str(single / "none"))


def test_copies_are_shared_and_pickles_load_again(single):
    model = TrainedReward(single, name="mine")
    assert copy.deepcopy(model) is model
    again = pickle.loads(pickle.dumps(model))
    assert again.name == "mine" and again([exchange("good")]) == pytest.approx(model([exchange("good")]), abs=1e-6)


def test_specs_come_back_as_they_were(tmp_path):
    spec = RewardSpec("label", "n", "conversation", 0.5, -0.25, 64, (1.0, 2.0), {"data": "x"})
    spec.save(tmp_path)
    assert RewardSpec.load(tmp_path) == spec


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"head": "other"}, "head must be one of"),
        ({"reads": "file"}, "reads must be one of"),
        ({"scale": 0.0}, "scale must be above 0"),
        ({"scale": float("nan")}, "finite"),
        ({"offset": "1"}, "finite"),
        ({"max_length": 0}, "max_length"),
        ({"values": [1.0]}, "values are needed"),
        ({"head": "label"}, "values are needed"),
        ({"name": ""}, "name"),
        ({"format": 2}, "format 1"),
        ({"surprise": 1}, "surprise"),
    ],
)
def test_a_file_that_is_wrong_is_refused(single, change, message):
    data = json.loads((single / FILE).read_text())
    (single / FILE).write_text(json.dumps({**data, **change}))
    with pytest.raises(ValueError, match=message):
        TrainedReward(single)


@settings(deadline=None)
@given(st.one_of(st.binary(max_size=40), st.text(max_size=40).map(str.encode)))
def test_no_bytes_get_through_as_a_spec(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("spec")
    (folder / FILE).write_bytes(data)
    with pytest.raises(ValueError, match="doesn't describe a reward model"):
        RewardSpec.load(folder)
