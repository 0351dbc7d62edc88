import copy
import pickle

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from lm_envs.chat import ChatFormat
from lm_envs.spaces import well_formed
from lm_envs.tokens import load_tokenizer
from tests.lm_envs import toy_tokenizers as toys

SYSTEM = {"role": "system", "content": "Be brief."}
USER = {"role": "user", "content": "hello"}
MORE = {"role": "user", "content": "fine?"}
REPLY = {"role": "assistant", "content": "I am fine."}
TOOL = {"role": "tool", "name": "search", "content": "4411"}
FORMATS = {"gpt2": ChatFormat(toys.gpt2()), "chatml": ChatFormat(toys.chatml()), "llama": ChatFormat(toys.llama())}
every_format = pytest.mark.parametrize("fmt", FORMATS.values(), ids=FORMATS)


def text(fmt, ids):
    return fmt.tokenizer.backend_tokenizer.decode(list(ids), skip_special_tokens=False)


def chat(template, **kwargs):
    return ChatFormat(toys.chatml(template, **kwargs))


# What is written.


def test_chatml():
    fmt = FORMATS["chatml"]
    end = fmt.tokenizer.convert_tokens_to_ids("<|im_end|>")
    assert text(fmt, fmt.open([SYSTEM, USER])) == (
        "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nhello<|im_end|>\n<|im_start|>assistant\n"
    )
    assert text(fmt, fmt.close(end, [TOOL, TOOL, MORE])) == (
        "\n<|im_start|>tool\n4411<|im_end|>\n<|im_start|>tool\n4411<|im_end|>\n<|im_start|>user\nfine?<|im_end|>\n<|im_start|>assistant\n"
    )
    assert text(fmt, fmt.close(None, [MORE])).startswith("<|im_end|>\n<|im_start|>user\n")
    assert fmt.stop_ids == {end}
    assert fmt.encode_reply("hi")[-1] == end


def test_pieces_are_those_of_the_rendered_conversation():
    fmt = FORMATS["chatml"]
    rendered = fmt.tokenizer.apply_chat_template([SYSTEM, USER, REPLY, MORE], tokenize=False, add_generation_prompt=True)
    reply = fmt.encode_reply(REPLY["content"])
    assert text(fmt, [*fmt.open([SYSTEM, USER]), *reply, *fmt.close(reply[-1], [MORE])]) == rendered
    assert text(fmt, fmt.open([SYSTEM, USER, REPLY, MORE])) == rendered


def test_closing_without_answers():
    fmt = FORMATS["chatml"]
    (end,) = fmt.stop_ids
    assert text(fmt, fmt.close(end, [])) == "\n"
    assert text(fmt, fmt.close(None, [])) == "<|im_end|>\n"
    assert text(fmt, fmt.close(end, [], prompt=True)) == "\n<|im_start|>assistant\n"
    assert text(fmt, fmt.close(end, [MORE], prompt=False)) == "\n<|im_start|>user\nfine?"


def test_a_stop_other_than_the_turn_end_is_kept_and_the_turn_ended():
    fmt = ChatFormat(toys.chatml(eos_token="<|endoftext|>"))
    turn_end, eos = (fmt.tokenizer.convert_tokens_to_ids(token) for token in ("<|im_end|>", "<|endoftext|>"))
    assert fmt.stop_ids == {turn_end, eos}
    assert text(fmt, fmt.close(eos, [])) == "<|im_end|>\n"
    assert fmt.encode_reply("hi")[-1] == turn_end


def test_plain_format_of_a_tokenizer_without_template():
    fmt = FORMATS["gpt2"]
    newline, eos = fmt.tokenizer.encode("\n")[0], fmt.tokenizer.eos_token_id
    assert text(fmt, fmt.open([SYSTEM, USER])) == "System: Be brief.\nUser: hello\nAssistant:"
    assert fmt.stop_ids == {newline, eos}
    assert text(fmt, fmt.close(newline, [MORE])) == "User: fine?\nAssistant:"
    assert text(fmt, fmt.close(eos, [MORE])) == "\nUser: fine?\nAssistant:"
    assert text(fmt, fmt.close(newline, [TOOL])) == "User: search: 4411\nAssistant:"
    assert fmt.decode(fmt.encode_reply("two\nlines")[:-1]) == "two lines"
    assert fmt.decode(fmt.encode_reply(" spaced")[:-1]) == " spaced"
    assert not fmt.forbidden_ids


def test_plain_format_where_there_is_a_template():
    fmt = ChatFormat(toys.chatml(), plain=True)
    assert text(fmt, fmt.open([USER])) == "User: hello\nAssistant:"
    fmt = ChatFormat(toys.llama(), plain=True)
    assert fmt.open([USER])[0] == fmt.tokenizer.bos_token_id  # the tokenizer puts it in front of any text
    assert fmt.tokenizer.convert_ids_to_tokens(fmt.open([USER]))[1].startswith("▁")  # and a space


def test_sentencepiece_kind():
    fmt = FORMATS["llama"]
    end = fmt.tokenizer.eos_token_id
    assert text(fmt, fmt.open([USER])) == "<s>[INST] hello [/INST]"
    assert text(fmt, fmt.close(end, [MORE])) == "[INST] fine? [/INST]"
    assert text(fmt, fmt.close(None, [MORE])) == "</s>[INST] fine? [/INST]"
    pieces = fmt.tokenizer.convert_ids_to_tokens(fmt.encode_reply("hello are you"))
    assert pieces[-3:] == ["▁are", "▁you", "</s>"]
    assert "▁▁" not in pieces and pieces[0].startswith("▁")  # the model's own way: the space before a reply belongs to its first word


def test_assistant_first_and_messages_of_a_role_in_a_row():
    fmt = FORMATS["chatml"]
    opened = text(fmt, fmt.open([REPLY, USER, MORE]))
    assert opened.count("<|im_start|>user\n") == 3 and opened.startswith("<|im_start|>user\n<|im_end|>\n<|im_start|>assistant\nI am fine.")
    assert text(fmt, fmt.open([SYSTEM, SYSTEM, USER])).count("Be brief.\n\nBe brief.") == 1
    assert text(fmt, fmt.open([USER, SYSTEM])).count("<|im_start|>user") == 2
    assert text(fmt, fmt.open([SYSTEM])).endswith("Be brief.<|im_end|>\n<|im_start|>assistant\n")
    with pytest.raises(ValueError, match="at least one message"):
        fmt.open([])


# Templates that misbehave.

STRICT = (
    "{% for m in messages %}{% if (m['role'] == 'user') != (loop.index0 % 2 == 0) or m['role'] not in ('user', 'assistant') %}"
    "{{ raise_exception('Conversation roles must alternate') }}{% endif %}"
    "<|im_start|>{{ m['role'] }}: {{ m['content'] | trim }}<|im_end|>{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant:{% endif %}"
)


def test_strict_template_folds_and_joins():
    fmt = chat(STRICT)
    assert text(fmt, fmt.open([SYSTEM, USER])) == "<|im_start|>user: Be brief.\n\nhello<|im_end|><|im_start|>assistant:"
    assert text(fmt, fmt.open([SYSTEM])) == "<|im_start|>user: Be brief.<|im_end|><|im_start|>assistant:"
    assert text(fmt, fmt.open([SYSTEM, REPLY, USER])).startswith("<|im_start|>user: Be brief.<|im_end|><|im_start|>assistant: I am fine.")
    assert text(fmt, fmt.open([USER, MORE])) == "<|im_start|>user: hello\n\nfine?<|im_end|><|im_start|>assistant:"
    (end,) = fmt.stop_ids
    assert text(fmt, fmt.close(end, [TOOL, MORE])) == "<|im_start|>user: search: 4411\n\nfine?<|im_end|><|im_start|>assistant:"
    assert text(fmt, fmt.encode_reply("hi")) == " hi<|im_end|>"  # the template's space before a reply is the reply's
    assert fmt.decode(fmt.encode_reply(" hi ")[:-1]) == " hi "


def test_system_folds_into_the_first_user_message_even_where_users_may_repeat():
    fmt = chat(
        "{% for m in messages %}{% if m.role == 'system' %}{{ raise_exception('no system') }}{% endif %}" + toys.CHATML.split("%}", 1)[1]
    )
    assert text(fmt, fmt.open([SYSTEM, USER, MORE])).startswith("<|im_start|>user\nBe brief.\n\nhello<|im_end|>\n<|im_start|>user\nfine?")


def test_template_that_drops_the_system_message_folds_it():
    fmt = chat(toys.CHATML.replace("for m in messages", "for m in messages if m.role != 'system'"))
    assert text(fmt, fmt.open([SYSTEM, USER])).startswith("<|im_start|>user\nBe brief.\n\nhello<|im_end|>")


def test_template_that_rewrites_history():
    """Earlier thinking is dropped, a thought is put before the last reply: what was sampled stays as it was."""
    fmt = chat(
        "{% for m in messages %}<|im_start|>{{ m.role }}\n{% if m.role == 'assistant' %}"
        "{% if loop.last %}<think>\n\n</think>\n\n{% endif %}"
        "{{ m.content.split('</think>')[-1].lstrip('\n') }}{% else %}{{ m.content }}{% endif %}<|im_end|>\n{% endfor %}"
        "{% if add_generation_prompt %}<|im_start|>assistant\n"
        "{% if not thinking | default(true) %}<think>\n\n</think>\n\n{% endif %}{% endif %}"
    )
    reply = fmt.encode_reply("<think>well</think>yes")
    ids = [*fmt.open([USER]), *reply]
    ids += fmt.close(reply[-1], [MORE])
    assert text(fmt, ids) == (
        "<|im_start|>user\nhello<|im_end|>\n<|im_start|>assistant\n<think>well</think>yes<|im_end|>\n"
        "<|im_start|>user\nfine?<|im_end|>\n<|im_start|>assistant\n"
    )
    quick = ChatFormat(fmt.tokenizer, template_kwargs={"thinking": False})
    assert text(quick, quick.open([USER])).endswith("assistant\n<think>\n\n</think>\n\n")
    think = fmt.tokenizer.convert_tokens_to_ids("<think>")
    assert think in quick.forbidden_ids and think not in fmt.forbidden_ids


def test_date_is_frozen():
    template = "{% set today = strftime_now('%d %b %Y') if strftime_now is defined else 'never' %}Today: {{ today }}\n" + toys.CHATML
    fmt = chat(template)
    assert text(fmt, fmt.open([USER])).startswith("Today: 26 Jul 2024\n<|im_start|>user")


def test_default_system_prompt_is_kept_until_there_is_one():
    fmt = chat("{% if messages[0].role != 'system' %}<|im_start|>system\nYou are Toy.<|im_end|>\n{% endif %}" + toys.CHATML)
    assert text(fmt, fmt.open([USER])).startswith("<|im_start|>system\nYou are Toy.<|im_end|>\n<|im_start|>user\nhello")
    assert text(fmt, fmt.open([SYSTEM, USER])).startswith("<|im_start|>system\nBe brief.")
    assert "You are Toy." not in text(fmt, fmt.close(None, [MORE]))


def test_template_that_trims_gets_the_text_as_it_is():
    fmt = chat(toys.CHATML.replace("m['content']", "m['content'] | trim"))
    assert "<|im_start|>user\n  hi \n<|im_end|>" in text(fmt, fmt.open([{"role": "user", "content": "  hi \n"}]))


@pytest.mark.parametrize("kept", [2, 3])
def test_template_that_keeps_the_last_messages(kept):
    fmt = chat(toys.CHATML.replace("for m in messages", f"for m in messages[-{kept}:]"))
    assert text(fmt, fmt.open([SYSTEM, USER, REPLY, MORE])).startswith("<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nhello")


def test_template_without_generation_prompt():
    fmt = chat(toys.CHATML.split("{% if add")[0])
    assert text(fmt, fmt.open([USER])) == "<|im_start|>user\nhello<|im_end|>\n<|im_start|>assistant\n"
    (end,) = fmt.stop_ids
    assert text(fmt, fmt.close(end, [MORE])) == "\n<|im_start|>user\nfine?<|im_end|>\n<|im_start|>assistant\n"


def test_template_that_marks_only_beginnings_stops_at_the_next():
    fmt = chat(
        "{% for m in messages %}{{ '<|im_start|>' if m.role == 'user' else '<|endoftext|>' }}{{ m.content }}{% endfor %}"
        "{% if add_generation_prompt %}<|endoftext|>{% endif %}"
    )
    begin, end = fmt.tokenizer.convert_tokens_to_ids(["<|im_start|>", "<|im_end|>"])
    assert fmt.stop_ids == {begin, end}
    assert text(fmt, fmt.close(begin, [MORE])) == "fine?<|endoftext|>"
    assert text(fmt, fmt.close(end, [MORE])) == "<|im_start|>fine?<|endoftext|>"


def test_end_only_after_the_last_message():
    fmt = chat(
        "{% for m in messages %}{{ m.role }}: {{ m.content }}{{ eos_token if loop.last and m.role == 'assistant' else '\n' }}{% endfor %}"
    )
    assert text(fmt, fmt.close(None, [MORE])) == "\nuser: fine?\nassistant:"
    assert text(fmt, fmt.close(None, [])) == "<|im_end|>"


TOOLS = (
    "{% for m in messages %}{% if m.role == 'tool' %}{% if loop.previtem.role != 'tool' %}<|im_start|>user{% endif %}"
    "{{ '\n' }}<tool_call>{{ m.name }} {{ m.content }}</tool_call>{% if loop.last or loop.nextitem.role != 'tool' %}<|im_end|>\n{% endif %}"
    "{% else %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def test_tool_messages_share_a_turn_and_show_their_names():
    fmt = chat(TOOLS)
    (end,) = fmt.stop_ids
    other = {"role": "tool", "name": "<|im_end|>", "content": ""}
    ids = fmt.close(end, [TOOL, other])
    assert text(fmt, ids) == (
        "\n<|im_start|>user\n<tool_call>search 4411</tool_call>\n<tool_call><|im_end|> </tool_call><|im_end|>\n<|im_start|>assistant\n"
    )
    assert ids.count(end) == 1  # the name is untrusted
    assert fmt.tokenizer.convert_tokens_to_ids("<tool_call>") in fmt.forbidden_ids  # here the world writes it
    assert fmt.tokenizer.convert_tokens_to_ids("<tool_call>") not in FORMATS["chatml"].forbidden_ids


def test_tool_name_after_the_content_counts_as_refused():
    fmt = chat(TOOLS.replace("{{ m.name }} {{ m.content }}", "{{ m.content }} {{ m.name }}"))
    assert text(fmt, fmt.close(None, [TOOL])) == "<|im_end|>\n<|im_start|>user\nsearch: 4411<|im_end|>\n<|im_start|>assistant\n"


@pytest.mark.parametrize(
    ("template", "why"),
    [
        ("{% for m in messages %}{{ m.content | upper }}{% endfor %}", "each content once and in order"),
        ("{% for m in messages %}{{ m.content }}{{ m.content }}{% endfor %}", "each content once and in order"),
        ("{{ raise_exception('only for tools') }}", "TemplateError: only for tools"),
        ("{{ messages[0].content + 1 }}", "TypeError"),
        ("{% for m in messages %}", "TemplateSyntaxError"),
        ({"rag": toys.CHATML}, "multiple chat templates"),
    ],
)
def test_a_template_that_cannot_be_taken_apart(template, why):
    tokenizer = toys.chatml()
    tokenizer.chat_template = template
    with pytest.raises(ValueError, match=f"chat template can't be used: .*{why}.*plain=True"):
        ChatFormat(tokenizer)
    assert ChatFormat(tokenizer, plain=True).open([USER])


def test_a_template_that_refuses_turns_says_which():
    with pytest.raises(ValueError, match=r"\(user, assistant, user\) makes it raise TemplateError: one turn"):
        chat(STRICT.replace("'Conversation roles must alternate'", "'one turn'").replace("{% if (m", "{% if loop.index > 1 or (m"))


def test_named_templates_use_the_default():
    tokenizer = toys.chatml()
    tokenizer.chat_template = {"default": toys.CHATML, "rag": "{{ raise_exception('no') }}"}
    assert ChatFormat(tokenizer).open([USER]) == FORMATS["chatml"].open([USER])


# Tokenizers.


def words(eos=None, **kwargs):
    backend = Tokenizer(
        models.WordLevel({"[UNK]": 0, "hello": 1, "User": 2, ":": 3, "Assistant": 4, "a": 5, "[END]": 9}, unk_token="[UNK]")
    )
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    return PreTrainedTokenizerFast(tokenizer_object=backend, unk_token="[UNK]", eos_token=eos, **kwargs)


def test_no_end_token():
    with pytest.raises(ValueError, match="no end token"):
        ChatFormat(words())
    tokenizer = words()
    tokenizer._special_tokens_map["eos_token"] = "not in the vocabulary"
    with pytest.raises(ValueError, match="no end token"):
        ChatFormat(tokenizer)


def test_holes_padding_and_control_tokens_are_forbidden():
    fmt = ChatFormat(words("[END]"))
    assert fmt.vocab_size == 10
    assert fmt.stop_ids == {9}
    assert fmt.forbidden_ids == {0, 6, 7, 8}
    assert fmt.pad_id == 0
    assert fmt.decode([6, 1, 7]) == "hello"
    fmt = FORMATS["chatml"]
    assert {"<|im_start|>", "<|pad|>", "<|endoftext|>"} == set(fmt.tokenizer.convert_ids_to_tokens(sorted(fmt.forbidden_ids)))
    assert fmt.pad_id == fmt.tokenizer.pad_token_id


def test_control_tokens_that_are_not_declared_special_are_forbidden_too():
    tokenizer = toys.chatml(toys.CHATML.replace("<|im_start|>", "<turn>").replace("<|im_end|>", "</turn>"))
    tokenizer.add_tokens([AddedToken("<turn>", special=False), AddedToken("</turn>", special=False), AddedToken("\n", special=False)])
    fmt = ChatFormat(tokenizer)
    begin, end, newline = tokenizer.convert_tokens_to_ids(["<turn>", "</turn>", "\n"])
    assert begin in fmt.forbidden_ids
    assert end in fmt.stop_ids
    assert newline not in fmt.forbidden_ids


def test_a_slow_tokenizer_is_refused():
    with pytest.raises(TypeError, match="fast tokenizer.*got object"):
        ChatFormat(object())


def test_truncation_and_padding_of_the_tokenizer_do_not_matter():
    tokenizer = toys.chatml()
    tokenizer.backend_tokenizer.enable_truncation(4)
    tokenizer.backend_tokenizer.enable_padding(length=50)
    fmt = ChatFormat(tokenizer)
    assert fmt.open([SYSTEM, USER]) == FORMATS["chatml"].open([SYSTEM, USER])
    assert tokenizer.backend_tokenizer.truncation["max_length"] == 4 and tokenizer.backend_tokenizer.padding["length"] == 50


@every_format
def test_copies(fmt):
    for other in (copy.deepcopy(fmt), pickle.loads(pickle.dumps(fmt))):
        assert other.open([SYSTEM, USER]) == fmt.open([SYSTEM, USER])
        assert other.forbidden_ids == fmt.forbidden_ids


# Untrusted text.

SPELLINGS = [
    "<|im_end|>",
    "<|im_start|>",
    "<|endoftext|>",
    "<tool_call>",
    "</s>",
    "<s>",
    "[INST]",
    "<unk>",
    "    ",
    "<0x0A>",
    "<|im_",
    "end|>",
]
untrusted = st.one_of(
    st.text(st.characters(codec=None), max_size=60),  # lone surrogates too
    st.lists(
        st.sampled_from([*SPELLINGS, "hello", " ", "\n", "🙂", "👩‍👩‍👧", "مرحبا", "\u202e", "\ud83d", "\udc00", "\x00", "é"]), max_size=12
    ).map("".join),
)


@settings(deadline=None, max_examples=150, derandomize=True)
@given(untrusted)
@example("")
@example("<|im_end|>")
@example("</s>[INST]<s>")
@example("<unk>")
@example("\ud83d\ude42 \ude42")
def test_untrusted_text_holds_no_added_token_and_nothing_is_lost(said):
    for fmt in FORMATS.values():
        ids = fmt._encode_text(said)
        assert not set(ids) & set(fmt.tokenizer.added_tokens_decoder)
        assert fmt.decode(fmt._encode_text(said, spaced=fmt._spaced_replies)) == well_formed(said)
        opened = fmt.open([{"role": "user", "content": said}])
        quiet = fmt.open([{"role": "user", "content": ""}])
        for token in fmt.stop_ids | fmt.forbidden_ids:
            if fmt._is_control(token):
                assert opened.count(token) == quiet.count(token)


@settings(deadline=None, max_examples=100, derandomize=True)
@given(untrusted)
def test_a_reply_survives(said):
    for name, fmt in FORMATS.items():
        *ids, stop = fmt.encode_reply(said)
        expected = well_formed(said)
        assert stop in fmt.stop_ids and not set(ids) & (fmt.stop_ids | fmt.forbidden_ids)
        assert fmt.decode(ids) == (" ".join(expected.splitlines()) if name == "gpt2" else expected)


@settings(deadline=None, max_examples=150, derandomize=True)
@given(st.lists(st.integers(-2, 500), max_size=30))
def test_decode_never_raises_and_any_sampled_ids_give_text(ids):
    for fmt in FORMATS.values():
        fmt.decode(ids).encode()


LONG = {"letters": "a" * 100_000, "control": "<|im_end|></s><s>[INST]" * 4400, "spaces": "    " * 25_000}
LONG |= {"emoji": "👩‍👩‍👧" * 20_000, "arabic": "مرحبا " * 17_000, "bytes": "<0xF0>🙃<unk>" * 9000}


@pytest.mark.parametrize("said", LONG.values(), ids=LONG)
@every_format
def test_long_text(fmt, said):
    ids = fmt._encode_text(said, spaced=fmt._spaced_replies)
    assert fmt.decode(ids) == said
    assert not any(fmt._is_control(token) for token in ids)


def test_added_tokens_that_are_sampled_show_as_they_are_spelled():
    fmt = FORMATS["chatml"]
    call, end_call, spaces = fmt.tokenizer.convert_tokens_to_ids(["<tool_call>", "</tool_call>", "    "])
    hello = list(fmt._encode_text("hello"))
    assert fmt.decode([call, *hello, end_call, spaces, *hello]) == "<tool_call>hello</tool_call>    hello"


@every_format
def test_cut_characters(fmt):
    ids = list(fmt._encode_text("🦊", spaced=fmt._spaced_replies))
    assert "\ufffd" in fmt.decode(ids[:-1])
    assert fmt.decode([]) == ""


def test_a_single_character_that_is_a_control_token_is_replaced():
    backend = Tokenizer(models.BPE(vocab={"a": 0, "§": 1, "\ufffd": 2, "\n": 3, "b": 4, "¶": 5}, merges=[]))
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="§")
    tokenizer.add_tokens([AddedToken("¶", special=False)])
    fmt = ChatFormat(tokenizer)
    assert fmt._encode_text("a§b¶") == (0, 2, 4, 5)  # a character that only happens to be an added token is text


def test_repeated_text_is_encoded_once():
    fmt = ChatFormat(toys.chatml())
    assert fmt._encode_text("hello there") is fmt._encode_text("hello there")
    for i in range(5000):
        fmt._encode_text(f"number {i}")
    fmt._encode_text("x" * 50_000)
    assert len(fmt._text_cache) <= 4096 and max(map(len, fmt._text_cache)) < 50_000


def digits_apart():
    backend = Tokenizer.from_str(toys.gpt2().backend_tokenizer.to_str())
    backend.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), backend.pre_tokenizer])
    return PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="<|endoftext|>")


LINEWISE = [ChatFormat(toys.gpt2()), ChatFormat(digits_apart()), ChatFormat(load_tokenizer("tiny"))]
BITS = [
    "\n",
    " ",
    "\t",
    "\r",
    "\x1c",
    "\x85",
    "\u2028",
    "a",
    "The",
    "'s",
    "'",
    "4",
    "4411",
    ".",
    "_",
    "@",
    "é",
    "日",
    "order",
    "Name: ",
    " to",
    " a.b",
]


@pytest.mark.parametrize("fmt", LINEWISE, ids=["ByteLevel", "Digits, ByteLevel", "tiny"])
@settings(max_examples=500, deadline=None)
@given(st.lists(st.sampled_from(BITS)).map("".join))
def test_lines_and_words_encoded_apart_are_the_text_encoded_whole(fmt, said):
    assert fmt._encode_text(said) == tuple(fmt._untrusted.encode(said).ids)


SEVERAL = "first\nthe second, too"


@pytest.mark.parametrize(
    "tokenizer, remembered",
    [
        (toys.gpt2(), ["first\n", "the", " second,", " too", "the second, too"]),
        (load_tokenizer("tiny"), ["first\n", "the", " second,", " too", "the second, too"]),
        (toys.llama(), [SEVERAL]),
    ],
    ids=["gpt2", "tiny", "llama"],
)
def test_lines_and_words_are_remembered_where_no_token_spans_two(tokenizer, remembered):
    fmt = ChatFormat(tokenizer)
    fmt._encode_text(SEVERAL)
    assert list(fmt._text_cache) == remembered
