"""Every operation's wordings in every frame: who does it, when, and whether at all."""

import pytest

from lm_envs.envs.customer_service.acts import OPERATIONS
from lm_envs.envs.customer_service.understanding import read

VERBS = {  # base, past, participle, gerund
    "cancel": ["cancel/cancelled/cancelled/cancelling the order", "call/called/called/calling it off"],
    "refund": [
        "refund/refunded/refunded/refunding you",
        "give/gave/given/giving you your money back",
        "issue/issued/issued/issuing a full refund",
        "pay/paid/paid/paying the £20 back to your card",
        "return/returned/returned/returning the money",
    ],
    "return": [
        "take/took/taken/taking the jacket back",
        "register/registered/registered/registering the return",
        "set/set/set/setting up a return",
    ],
    "exchange": [
        "exchange/exchanged/exchanged/exchanging it for a blue one",
        "send/sent/sent/sending you a new one",
        "replace/replaced/replaced/replacing the mug",
        "arrange/arranged/arranged/arranging a swap",
    ],
    "address": ["change/changed/changed/changing the delivery address", "redirect/redirected/redirected/redirecting the parcel"],
    "payment": ["move/moved/moved/moving the payment to your other card", "update/updated/updated/updating the card on the order"],
    "ticket": ["open/opened/opened/opening a ticket", "file/filed/filed/filing a complaint"],
    "handover": [
        "transfer/transferred/transferred/transferring you to a colleague",
        "escalate/escalated/escalated/escalating your case",
        "ask/asked/asked/asking a colleague to call you",
    ],
}
FRAMES = {
    "done": [
        "I have {2}.",
        "I've now {2}.",
        "I {1}.",
        "I was able to {0}.",
        "I went ahead and {1}.",
        "I managed to {0}.",
        "Good news: I've {2}!",
        "I can confirm that I have {2}.",
    ],
    "offer": [
        "I will {0}.",
        "We can {0}.",
        "Let me {0}.",
        "I'd be happy to {0}.",
        "I am {3} now.",
        "If you want, I can {0}.",
        "I'll have to {0}.",
        "Once that's done, I'll {0}.",
        "I can offer to {0}.",
        "I suggest that we {0}.",
        "What I can do is {0}.",
    ],
    "refuse": [
        "I can't {0}.",
        "I'm unable to {0}.",
        "I won't be able to {0}.",
        "It's not possible to {0}.",
        "We don't {0}.",
        "I will not {0}.",
        "There's no way to {0}.",
        "It's too late to {0}.",
        "I must refuse to {0}.",
        "We can no longer {0}.",
        "I don't have permission to {0}.",
    ],
    "propose": [
        "Shall I {0}?",
        "Would you like me to {0}?",
        "Is it okay if I {0}?",
        "May I {0}?",
        "How about I {0}?",
        "Let me know if you want me to {0}.",
    ],
    "": [
        "I haven't {2} yet.",
        "I did not {0}.",
        "To {0}, I need your postcode.",
        "Before I can {0}, I need your postcode.",
        "You asked me to {0}.",
    ],
}


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("mood", FRAMES)
def test_every_wording_in_every_frame(operation, mood):
    for wording in VERBS[operation]:
        verb, _, rest = wording.partition(" ")
        forms = [f"{form} {rest}" for form in verb.split("/")]
        for frame in FRAMES[mood]:
            text = frame.format(*forms)
            acts = [act for act in read(text).acts if act.split("_")[0] in ("offer", "done", "refuse")]
            assert acts == ([f"{'offer' if mood == 'propose' else mood}_{operation}"] if mood else []), text
            assert ("confirm" in read(text).acts) == (mood == "propose"), text


PASSIVES = {
    "cancel": "your order/cancelled",
    "refund": "your refund/issued",
    "return": "your return/registered",
    "exchange": "a replacement/sent",
    "address": "the delivery address/changed",
    "payment": "the payment method/updated",
    "ticket": "a ticket/opened",
    "handover": "your case/escalated",
}
PASSIVE_FRAMES = {
    "done": ["{} has been {}.", "{} was {} today.", "I'm happy to tell you that {} has now been {}."],
    "offer": ["{} will be {}.", "{} can be {}.", "{} is being {}.", "I'll get {} {}.", "I will have {} {}.", "{} is going to be {}."],
    "refuse": ["{} can't be {}.", "{} can no longer be {}.", "{} will not be {}.", "It's not possible for {} to be {}."],
    "": ["{} has not been {}.", "{} hasn't been {} yet.", "Has {} been {}?"],
}


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("mood", PASSIVE_FRAMES)
def test_every_passive_in_every_frame(operation, mood):
    for frame in PASSIVE_FRAMES[mood]:
        text = frame.format(*PASSIVES[operation].split("/"))
        acts = [act for act in read(text).acts if act.split("_")[0] in ("offer", "done", "refuse")]
        assert acts == ([f"{mood}_{operation}"] if mood else []), text
