"""A tiny BERT, built here, against a forward pass of its own."""

import copy
import pickle

import pytest

torch = pytest.importorskip("torch")

from tokenizers import Tokenizer, models, pre_tokenizers, processors  # noqa: E402
from transformers import (  # noqa: E402
    AutoModelForSequenceClassification,
    BertConfig,
    BertForSequenceClassification,
    GPT2Config,
    GPT2ForSequenceClassification,
    PreTrainedTokenizerFast,
)

from lm_envs import rewards  # noqa: E402
from lm_envs.rewards import HFClassifier  # noqa: E402
from tests.lm_envs.rewards.exchanges import exchange  # noqa: E402

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *"good bad film the a was not very [ ] SEP ! .".split()]
REPLIES = ["good", "the film was not very good !", "", "bad bad bad bad bad bad bad bad bad bad bad bad", "unknown words", "🙂"]


def tokenizer(**special):
    backend = Tokenizer(models.WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="[UNK]"))
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    if "cls_token" in special:
        backend.post_processor = processors.TemplateProcessing(
            single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
        )
    inputs = ["input_ids", "token_type_ids", "attention_mask"] if "cls_token" in special else ["input_ids", "attention_mask"]
    return PreTrainedTokenizerFast(tokenizer_object=backend, unk_token="[UNK]", model_input_names=inputs, **special)


def save_bert(folder, labels, **config):
    torch.manual_seed(0)
    sizes = {"vocab_size": len(WORDS), "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    bert = BertConfig(**sizes, max_position_embeddings=16, initializer_range=0.5, num_labels=len(labels), **config)
    bert.id2label, bert.label2id = dict(enumerate(labels)), {label: i for i, label in enumerate(labels)}
    BertForSequenceClassification(bert).save_pretrained(folder)
    tokenizer(pad_token="[PAD]", cls_token="[CLS]", sep_token="[SEP]").save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def three(tmp_path_factory):
    return save_bert(tmp_path_factory.mktemp("three"), ["neg", "mid", "pos"])


@pytest.fixture(scope="module")
def single(tmp_path_factory):
    return save_bert(tmp_path_factory.mktemp("single"), ["score"], problem_type="regression")


def logits(folder, *texts):
    """Logits of single texts, by ids written out by hand."""
    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    ids, segments = [2], [0]
    for segment, text in enumerate(texts):
        ids += [WORDS.index(w) if w in WORDS else 1 for w in text.split()] + [3]
        segments += [segment] * (len(ids) - len(segments))
    with torch.no_grad():
        return model(torch.tensor([ids]), token_type_ids=torch.tensor([segments])).logits[0]


def test_probability_logit_and_expected_value(three):
    reply = "the film was not good"
    z = logits(three, reply)
    p = z.softmax(-1)
    values = {"neg": -1, "mid": 0, 2: 2.5}
    for arguments, expected in [
        ({"label": "pos"}, p[2]),
        ({"label": 0}, p[0]),
        ({"label": "mid", "output": "logit"}, z[1]),
        ({"output": "expected", "values": values}, -p[0] + 2.5 * p[2]),
    ]:
        (judged,) = rewards.score(HFClassifier(three, **arguments), [exchange(reply)])
        assert judged.total == pytest.approx(expected.item(), abs=1e-5)
        assert list(judged.components) == ["classifier"]
    assert len({round(x.item(), 3) for x in p}) == 3  # else the labels could be mixed up


def test_single_output(single):
    z = logits(single, "very bad")
    assert rewards.score(HFClassifier(single), [exchange("very bad")])[0].total == pytest.approx(z[0].item(), abs=1e-5)
    probability = HFClassifier(single, output="probability", name="sure")
    assert rewards.score(probability, [exchange("very bad")])[0].components == {"sure": pytest.approx(z.sigmoid()[0].item(), abs=1e-5)}


def test_multi_label_outputs_are_independent(tmp_path):
    folder = save_bert(tmp_path, ["toxic", "rude"], problem_type="multi_label_classification")
    z = logits(folder, "bad")
    assert rewards.score(HFClassifier(folder, label="rude"), [exchange("bad")])[0].total == pytest.approx(z[1].sigmoid().item(), abs=1e-5)


def test_a_batch_is_the_same_as_one_by_one_and_in_any_batch_size(three):
    model = HFClassifier(three, label="pos")
    batch = [exchange(reply) for reply in REPLIES]
    alone = [rewards.score(model, [e])[0].total for e in batch]
    assert len(set(alone)) > 3
    for size in (1, 2, 4, 32):
        together = [s.total for s in rewards.score(HFClassifier(three, label="pos", batch_size=size), batch)]
        assert together == pytest.approx(alone, abs=1e-5)


def test_one_forward_pass_a_batch(three, monkeypatch):
    model = HFClassifier(three, label="pos", batch_size=4)
    sizes = []
    monkeypatch.setattr(model, "_logits", lambda texts, run=model._logits: sizes.append(len(texts)) or run(texts))
    rewards.score(model, [exchange(reply) for reply in REPLIES])
    assert sizes == [4, 2]


def test_long_replies_are_cut(three):
    model = HFClassifier(three, label="pos", max_length=5)
    scores = [s.total for s in rewards.score(model, [exchange("good bad film the the the"), exchange("good bad film")])]
    assert scores[0] == pytest.approx(scores[1], abs=1e-6)
    full = HFClassifier(three, label="pos")
    assert full.max_length == 16
    rewards.score(full, [exchange("bad " * 1000)])


def test_texts_judged(three):
    e = exchange("very good", user="was the film bad")
    z = logits(three, "was the film bad", "very good")
    (pair,) = rewards.score(HFClassifier(three, label="pos", output="logit", text="pair"), [e])
    assert pair.total == pytest.approx(z[2].item(), abs=1e-5)
    (own,) = rewards.score(HFClassifier(three, label="pos", output="logit", text=lambda e: e.messages[-2]["content"]), [e])
    assert own.total == pytest.approx(logits(three, "was the film bad")[2].item(), abs=1e-5)


def test_a_reply_cannot_write_control_tokens(three):
    model = HFClassifier(three, label="pos", output="logit")
    (judged,) = rewards.score(model, [exchange("good[SEP]bad")])
    assert judged.total == pytest.approx(logits(three, "good [ SEP ] bad")[2].item(), abs=1e-5)


def test_a_decoder_without_pad_token(tmp_path):
    torch.manual_seed(0)
    sizes = {"vocab_size": len(WORDS), "n_embd": 16, "n_layer": 1, "n_head": 2, "n_positions": 32}
    GPT2ForSequenceClassification(GPT2Config(**sizes, num_labels=1, initializer_range=0.5, eos_token_id=3)).save_pretrained(tmp_path)
    tokenizer(eos_token="[SEP]").save_pretrained(tmp_path)
    model = HFClassifier(tmp_path)
    batch = [exchange("good"), exchange("the film was very bad")]
    alone = [rewards.score(model, [e])[0].total for e in batch]
    assert abs(alone[0] - alone[1]) > 1e-3
    assert [s.total for s in rewards.score(model, batch)] == pytest.approx(alone, abs=1e-5)
    tokenizer().save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="neither a pad token nor an end token"):
        HFClassifier(tmp_path)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({}, r"needs a label; labels: 'neg' \(0\), 'mid' \(1\), 'pos' \(2\)"),
        ({"label": "POS"}, r"has no label 'POS'; labels: 'neg' \(0\)"),
        ({"label": 3}, "has no label 3"),
        ({"label": True}, "has no label True"),
        ({"label": "pos", "output": "logits"}, "output must be one of 'probability', 'logit', 'expected'"),
        ({"output": "expected"}, "values are needed"),
        ({"label": "pos", "values": {"pos": 1}}, "values are needed for output='expected', and only there"),
        ({"output": "expected", "values": {"pos": 1}}, "no value for neg, mid"),
        ({"output": "expected", "values": {"neg": 1, "mid": 0, "good": 2}}, "has no label 'good'"),
        ({"label": "pos", "text": "chat"}, "text must be one of 'reply', 'pair'"),
        ({"label": "pos", "dtype": "int8"}, "dtype must be"),
        ({"label": "pos", "batch_size": 0}, "batch_size must be at least 1"),
    ],
)
def test_refused_when_made(three, arguments, said):
    with pytest.raises(ValueError, match=said):
        HFClassifier(three, **arguments)


def test_shared_by_copies_and_loaded_again_from_a_pickle(three):
    model = HFClassifier(three, label="pos", dtype="bfloat16", batch_size=2)
    assert copy.deepcopy(model) is model
    data = pickle.dumps(model)
    assert len(data) < 2000
    batch = [exchange(reply) for reply in REPLIES]
    assert rewards.score(pickle.loads(data), batch) == rewards.score(model, batch)


def test_no_torch_is_one_clear_error(three, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "torch", None)
    with pytest.raises(ImportError, match=r'pip install "lm-envs\[agents\]"'):
        HFClassifier(three, label="pos")


@pytest.mark.gpu
def test_on_a_gpu(three):
    if not torch.cuda.is_available():
        pytest.skip("needs a CUDA device")
    batch = [exchange(reply) for reply in REPLIES]
    there = [s.total for s in rewards.score(HFClassifier(three, label="pos", device="cuda"), batch)]
    here = [s.total for s in rewards.score(HFClassifier(three, label="pos", device="cpu"), batch)]
    assert there == pytest.approx(here, abs=1e-4)
