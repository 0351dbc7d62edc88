"""What is said of an operation's verb: the words to its left decide, auxiliary, subject and negation."""

from __future__ import annotations

from collections.abc import Sequence

from lm_envs.envs.customer_service.clauses import AUXILIARIES, BE, DO, HAVE, MODALS, QUESTION_WORDS, Clause

OFFER, DONE, REFUSE, PROPOSE, WISH, NONE = "offer", "done", "refuse", "propose", "wish", "none"
INSTRUCT = "instruct"  # "send it back": what the customer should do is an offer of a return alone
GIVEN = "given"  # "you get it back": money and goods are offered so, a return is not
DENIED = "denied"  # "no refund has been made": nothing, and not to be read otherwise
_ABLE = frozenset(
    (
        "decide decided promise agree guarantee able going happy glad pleased willing allowed possible authorised authorized permitted "
        "ready prepared delighted entitled eligible set free welcome due supposed here about allow "
        "permit authorise authorize entitle prepare sure certain likely scheduled position meant on fine okay"
    ).split()
)
_WANTING = frozenset(
    "want like love need wish prefer have hope plan intend choose decide looking going keen asked ask happy try trying".split()
)
_REFUSING = frozenset("unable impossible late refuse refused decline declined forbidden cannot reject".split())
_OBJECTS = frozenset("it that this them those these you one everything both him her order item parcel refund payment something".split())
_CUSTOMER_ALONE = frozenset("website app online yourself page portal profile settings dashboard".split())
_RELATIVE = frozenset("item product article thing one which what that goods order".split())
_SENDING = frozenset("return send post ship mail bring".split())
_GENERAL = frozenset("orders items goods products parcels purchases returns articles".split())
_BARE_SUBJECTS = frozenset(
    (
        "order <order> money refund okay great it <money> item address replacement ticket payment return done that <address> "
        "method details label complaint case report exchange swap cancel callback destination"
    ).split()
)
_NOT_DONE_BY = frozenset("you customer the your a this any were who of by as for an".split())
_NOBODY = frozenset("nobody anybody anyone no_one".split())
_LIMITS = frozenset("within before until who whoever during".split())
_DAYS = frozenset("monday tuesday wednesday thursday friday saturday sunday".split())
_MONTHS = frozenset("january february march april june july august september october november december".split())
_JUST_NOW = frozenset("second seconds moment moments minute minutes".split())
_NEITHER = frozenset(("neither", "nor"))
_SPANS = frozenset("week month monday tuesday wednesday thursday friday saturday sunday year night time".split())
_POSSIBLE = (
    "possible available option allow permit something offer accept give eligible able doable feasible table due allowed permitted".split()
)


class Verbs:
    """The words of a clause, asked for the mood of a verb in it.

    Args:
        tags: words, verbs as lemma and form, beginning with those of the clause before where this one continues it.
        clause: the clause.
        question: whether it is a question.
        adverbs: words that may stand between a verb and its auxiliary.
    """

    def __init__(self, tags: Sequence[str], clause: Clause, question: bool, adverbs: frozenset[str]) -> None:
        self.tags = tags
        self.words = [tag.split("/")[0] for tag in tags]
        self.clause = clause
        self.question = question
        self.adverbs = adverbs

    def mood(self, head: int, end: int, depth: int = 0) -> str:
        """What is said of the verb at ``head``, whose mention ends before ``end``."""
        form = self.tags[head][-1] if "/" in self.tags[head] else "b"
        if depth > 3:
            return NONE
        if form == "p":
            mood = self.participle(head)
        elif form == "g":
            mood = self._gerund(head, end, depth)
        else:
            mood = self._base(head, end, depth)
        if mood == OFFER and form == "b" and self._limited(head, end):
            return REFUSE
        if mood in (NONE, OFFER) and self.clause.kind != "if" and form != "p":
            after = " ".join(word for word in self.words[end : end + 9] if word not in self.adverbs or word == "of")
            if denied_after(after):
                return REFUSE
        return mood

    def _limited(self, head: int, end: int) -> bool:
        """Whether it is done under a limit alone, which refuses it beyond: "we only refund within 30 days"."""
        limited = not _LIMITS.isdisjoint(self.words[end : end + 5])
        return limited and "only" in self.words[max(head - 3, 0) : head] and {"i", "we"} & {*self.words[max(head - 4, 0) : head]} != set()

    def _left(self, head: int) -> tuple[int, bool, set[str]]:
        """Index of the nearest word to the left that matters, whether a negation was passed, and the words passed."""
        index, negated, passed = head - 1, False, set()
        while index >= 0 and (
            self.words[index] in self.adverbs
            or self.words[index] in ("not", "never", "longer", "been", "being", "neither")
            or (self.words[index] == "no" and self.words[index + 1] == "longer")
        ):
            negated |= self.words[index] in ("not", "never", "longer", "neither")
            passed.add(self.words[index])
            index -= 1
        return index, negated, passed

    def _subject(self, index: int) -> str:
        """The subject's word before an auxiliary at an index, or after it in a question."""
        for at in range(index - 1, max(index - 7, -1), -1):
            if self.words[at] in ("i", "we", "you", "it", "they"):
                return self.words[at]
        return ""

    def participle(self, head: int) -> str:
        """What is said of the participle or past tense at ``head``."""
        if self.clause.kind == "if":
            return NONE
        if self.words[head] == "receive":
            return NONE
        mood = self._past(head)
        if mood == DONE and self._past_day(head):
            return NONE
        return OFFER if mood == DONE and self.words[head] in ("initiate", "start", "begin") else mood

    def _past_day(self, head: int) -> bool:
        """Whether it is told of an earlier time: "was refunded last week", "had been refunded"."""
        after = self.words[head + 1 :]
        earlier = ("ago" in after and _JUST_NOW.isdisjoint(after)) or "before" in after[-1:] or "earlier" in after or "yesterday" in after
        for first, second in zip(after, after[1:], strict=False):
            earlier |= (first == "last" and second in _SPANS) or (first == "in" and second in _MONTHS)
            earlier |= first == "on" and second in _DAYS and "will" not in after
        had = "had" in self.words[max(head - 4, 0) : head] and "been" in self.words[max(head - 3, 0) : head]
        return earlier or (had and self.words[max(head - 4, 0)] not in ("i", "we"))

    def _past(self, head: int) -> str:
        index, negated, passed = self._left(head)
        if index >= 0 and self.words[index] in ("and", "or") and index > 0:
            earlier = next((i for i in range(index - 1, -1, -1) if self.tags[i].endswith(("/p", "/b"))), -1)
            if earlier >= 0:
                if self.tags[earlier].endswith("/p"):
                    return self.participle(earlier)
                return NONE
        word = self.words[index] if index >= 0 else ""
        if word in ("get", "have", "has", "had", "see") or word in _OBJECTS or word in ("be", "order", "address"):
            # "get it refunded", "have the order cancelled": the first verb decides
            for at in range(index, max(index - 4, -1), -1):
                if self.words[at] == "be":
                    return REFUSE if negated else self._future(at)
                if self.tags[at] == "get/p":
                    return self.participle(at)
                if self.words[at] in ("get", "have", "had", "has") and at < index:
                    mood = self._base(at, head, 1)
                    if self.words[at] != "get" and mood == NONE and self.words[at - 1 : at] and self.words[at - 1] in ("i", "we"):
                        return DONE
                    return mood
                if self.words[at] == "get":
                    return self._base(at, head, 1)
                if self.words[at] in AUXILIARIES:
                    break
        held = next((i for i in range(head - 1, max(head - 8, 0), -1) if self.words[i] in AUXILIARIES or self.words[i] == "get"), 0)
        if (
            0 < held < head - 1
            and self.words[held] in ("have", "get")
            and self.words[held + 1] != "been"
            and self.words[held + 1] not in self.adverbs
        ):
            before = self._left(held)[0]
            if before >= 0 and self.words[before] in MODALS | {"to", "me"}:
                return self._base(held, head, 1)  # "I will have your order cancelled"
        if word in HAVE or (word in ("i", "we", "you") and index > 0 and self.words[index - 1] in HAVE):
            have = index if word in HAVE else index - 1
            subject = word if word not in HAVE else self._subject(have)
            modal, denied, _ = self._left(have)
            if modal >= 0 and self.words[modal] in MODALS:
                return REFUSE if self.words[modal] in ("could", "would", "might", "should") else OFFER
            if negated or denied or self.words[max(have - 1, 0)] in ("nothing", "nobody", "none"):
                return DENIED
            if self.question and have < 2:
                return NONE
            if subject == "you" and not passed & {"been"}:
                return NONE
            return NONE if "been" in passed and self._customers(head, passed) else DONE
        if word == "are" and self.tags[head].startswith(("accept", "process", "issue", "make")):
            return NONE if not negated else REFUSE  # what happens to refunds and returns in general
        if word == "are" and not negated and not _GENERAL.isdisjoint(self.words[max(index - 4, 0) : index]):
            return NONE
        promised = not {"sure", "ensure"}.isdisjoint(self.words[:index]) or "see to it" in " ".join(self.words[:index])
        if word in BE and promised and not MODALS.isdisjoint(self.words[:index]):
            return OFFER
        if word in BE:
            if "being" in passed or word == "being":
                return REFUSE if negated else NONE if self.question else OFFER
            if negated:
                return REFUSE if word in ("is", "are", "am") else NONE
            if self._customers(head, passed):
                return NONE
            if self.question and self.clause.inverted:
                return NONE
            return DONE
        if word in MODALS or word == "to":
            return self._future(index + 1) if passed & {"been"} or word == "to" else NONE
        if word in ("i", "we"):
            return NONE if negated else DONE
        if word in _NOT_DONE_BY:
            return NONE
        if {"want", "like", "need", "wish", "ask"} & set(self.words[max(head - 7, 0) : head]):
            wished = self.question and self.clause.inverted and "you" in self.words[:head] and QUESTION_WORDS.isdisjoint(self.words[:head])
            return PROPOSE if wished else NONE
        if index < 0 and self.words[head + 1 : head + 2] and self.words[head + 1] in _GENERAL:
            return NONE
        if index < 0 or word in _BARE_SUBJECTS:
            return NONE if negated or self.question else DONE
        if self.tags[head].startswith(("cancel", "refund")) and index < 3 and not self.question:
            return DONE
        noun = next(
            (i for i in range(head - 1, max(head - 6, -1), -1) if self.words[i] in HAVE or self.words[i] in BE or self.words[i] in MODALS),
            -1,
        )
        if noun >= 0 and self.words[noun] in HAVE and "been" in self.words[noun:head]:
            return DONE
        return NONE

    def _customers(self, head: int, passed: set[str]) -> bool:
        """Whether "was returned", "was already cancelled" tells a state rather than what the agent has just done."""
        if self.tags[head] == "return/p" or (self.tags[head] == "send/p" and self.words[head + 1 : head + 2] == ["back"]):
            return not {"money", "payment", "amount", "<money>"} & set(self.words[:head]) and "return" not in self.words[:head]
        return self.tags[head] == "cancel/p" and (
            "already" in passed or "already" in self.words[head:] or "by you " in " ".join(self.words[head:]) + " "
        )

    def _future(self, at: int) -> str:
        """Of "... be refunded": what stands before ``be``."""
        index, negated, _ = self._left(at)
        if index < 0:
            return OFFER
        if self.words[index] == "to" and {"possible", "impossible"} & set(self.words[:index]):
            return REFUSE if {"not", "no", "impossible", "never"} & set(self.words[:index]) else OFFER
        if self.words[index] == "to" and "arrange" in self.words[:index]:
            return self.mood(self.words.index("arrange"), at)
        if (
            self.words[index] in MODALS
            and self.words[index - 1 : index]
            and self.words[index - 1] in _GENERAL | {"item", "product"}
            and "your" not in self.words[:index]
        ):
            if self.words[index] in ("can", "may", "must", "should") and "not" not in self.words[index:at]:
                return NONE  # a rule about all of them
        negated |= (
            "not" in self.words[max(index - 3, 0) : at]
            or "no" in self.words[max(index - 6, 0) : at]
            or "never" in self.words[max(index - 3, 0) : at]
            or not _NEITHER.isdisjoint(self.words[max(index - 8, 0) : at])
        )
        if self.question and self.clause.inverted:
            return NONE
        if self.words[index] == "to" and self.words[index - 1 : index] and self.words[index - 1] in ("want", "like", "need", "has", "have"):
            return (
                OFFER if self.words[at + 1 : at + 2] and self.words[at + 1] in ("return", "send", "post", "ship") and not negated else NONE
            )
        return REFUSE if negated else OFFER

    def _base(self, head: int, end: int, depth: int) -> str:
        index, negated, passed = self._left(head)
        if self.question and "or" in self.words and len(self.words) <= 5 and (index < 0 or self.words[index] == "or"):
            return WISH  # "refund or resend?"
        if index < 0:
            return self._imperative(head, negated)
        word = self.words[index]
        if word == "to":
            return self._infinitive(index, negated, end, depth)
        if word in ("i", "we"):
            mood = self._pronoun(index, negated)
            return DONE if mood == OFFER and ("already" in passed or (self.words[head] in ("put", "set") and index == 0)) else mood
        if word in HAVE and index and self.words[index - 1] in ("i", "we") and not negated and not self.question:
            return DONE
        if word in BE and index and self.words[index - 1] in ("i", "we") and not self.question:
            return REFUSE if negated else OFFER
        if word == "you":
            before = self.words[index - 1] if index else ""
            if before in ("help", "helping", "let", "letting"):
                return self.mood(index - 1, end, depth + 1)
            if (
                before in ("can", "could", "would", "will", "may")
                and self.words[head] in {*_SENDING, "take"}
                and self.clause.kind == "main"
            ):
                return OFFER
            if self.words[head] in ("get", "receive") and self.clause.kind == "main" and not self.question and before not in MODALS:
                return GIVEN
            return NONE
        if word in ("help", "assist") and "/" in self.tags[index]:
            return self.mood(index, end, depth + 1)
        if word in MODALS or word in DO:
            return self._modal(index, negated)
        if word in ("me", "us") and index and self.words[index - 1] in ("let", "allow"):
            denied = negated or "not" in self.words[max(index - 4, 0) : index]
            return NONE if self.clause.kind == "if" else REFUSE if denied else OFFER
        if word in ("and", "or", "then", "nor", "also", "&"):
            earlier = next((i for i in range(index - 1, -1, -1) if self.tags[i].endswith(("/b", "/g", "/p"))), -1)
            if earlier >= 0:
                if self.tags[earlier].endswith("/p"):
                    return NONE if "/" not in self.tags[head] else self.participle(earlier)
                mood = self.mood(earlier, end, depth + 1)
                first = self._left(earlier)[0] < 0
                return self._imperative(head, negated) if mood == NONE and first else mood
        if word in ("please", "just"):
            return self._imperative(head, negated)
        modal = next((i for i in range(index, max(index - 5, -1), -1) if self.words[i] in MODALS), -1)
        if modal >= 0 and not (set(self.words[modal:head]) & {"to", "you", "and", "or"}):
            return self._modal(modal, negated or "not" in self.words[modal:head])
        return NONE

    def _imperative(self, head: int, negated: bool) -> str:
        if negated or self.clause.kind == "if":
            return NONE
        return INSTRUCT if self.words[head] in _SENDING else NONE

    def _pronoun(self, index: int, negated: bool) -> str:
        before = self.words[index - 1] if index else ""
        if self.question and before in ("that", "about") and {"agree", "prefer", "like", "how", "what"} & set(self.words[:index]):
            return PROPOSE
        if {"suggest", "recommend", "propose"} & set(self.words[:index]) and not self.question:
            return OFFER
        if before in MODALS and (self.question or self.clause.inverted):
            if not QUESTION_WORDS.isdisjoint(self.words[: index - 1]):
                return NONE
            return PROPOSE
        if before in DO:
            return NONE
        if before in ("if", "for"):
            return PROPOSE if self.question and self.clause.kind == "if" else NONE
        if self.clause.kind == "if" or self.question:
            return NONE
        return REFUSE if negated else OFFER

    def _modal(self, index: int, negated: bool) -> str:
        word = self.words[index]
        subject = self._subject(index)
        negated |= "not" in self.words[index : index + 3] or bool(
            {"no", "neither", "nor", "never"} & set(self.words[max(index - 5, 0) : index])
        )
        if self.clause.kind == "if":
            return NONE
        if "only" in self.words[index : index + 3] and not _GENERAL.isdisjoint(self.words[index : index + 5]):
            return NONE  # "we can only cancel orders that are pending"
        if word in DO and self.words[max(index - 1, 0) : index] in ([], ["please"], ["so"], [","]):
            return NONE  # "don't send it back"
        if word in DO:
            if negated and word == "did":
                return DENIED
            return REFUSE if negated and word in ("do", "does") and subject != "you" else NONE
        if self.question and self.clause.inverted:
            return NONE
        before = self.words[:index]
        negated |= not _NOBODY.isdisjoint(before[-5:]) or "beyond" in before or {"past", "point"} <= {*before}
        if negated:
            return NONE if subject == "you" and word == "will" else REFUSE
        if subject == "you":
            if not _CUSTOMER_ALONE.isdisjoint(self.words[index:]):
                return NONE
            return NONE if word in ("would", "might") else OFFER
        return OFFER

    def _infinitive(self, to: int, negated: bool, end: int, depth: int) -> str:
        index, denied, _ = self._left(to)
        if index < 0:
            return NONE
        word = self.words[index]
        left = self.words[max(index - 7, 0) : index]
        subject = self._subject(index)
        denied |= negated or "not" in left or "no" in left or "beyond" in left
        if self.words[:3] == ["to", "be", "able"]:
            return NONE
        if word in _REFUSING:
            return NONE if self.question and self.clause.inverted or self.clause.kind == "if" else REFUSE
        if self.question and self.clause.inverted and subject == "you" and word == "able":
            return NONE
        if word in ("me", "us"):
            before = self.words[index - 1] if index else ""
            if before == "for":
                if self.question:
                    return PROPOSE
                if denied or "impossible" in left:
                    return REFUSE
                return OFFER if "possible" in left else NONE
            if before in ("like", "want", "need", "prefer", "wish", "happy"):
                if "i" not in left and "we" not in left and (self.question or self.clause.inverted or self.clause.kind == "if"):
                    return PROPOSE
                return NONE
            return (REFUSE if denied else OFFER) if before == "allow" else NONE
        if self.clause.kind == "if":
            return PROPOSE if self.question and subject in ("i", "we") else NONE
        if word in ("manage", "succeed") or (word == "able" and {"was", "were", "been"} & set(left[-3:])):
            return REFUSE if denied else DONE
        if word in _ABLE:
            if self.question and self.clause.inverted:
                return PROPOSE if subject in ("i", "we", "it") else NONE
            if denied:
                return REFUSE
            return OFFER
        if word in _WANTING:
            if subject in ("i", "we"):
                modal = not MODALS.isdisjoint(self.words[max(index - 2, 0) : index])
                if (word == "have" or (word == "need" and modal)) and not denied:
                    return OFFER
                if word in ("like", "love", "happy", "want", "plan", "intend", "prefer", "hope"):
                    return NONE if denied and word not in ("want", "plan", "intend") else OFFER if not denied else REFUSE
                return NONE
            at = next((i for i in range(index - 1, -1, -1) if self.words[i] == "you"), 0)
            if subject == "you" and at and self.words[at - 1] in _RELATIVE:
                return NONE  # "the item you want to return"
            if subject == "you" and (self.question or self.clause.inverted):
                return NONE if not QUESTION_WORDS.isdisjoint(self.words[:index]) else WISH
            if subject == "you" and word in ("need", "have", "want") and not denied and self.words[to + 1] in _SENDING and word != "want":
                return OFFER
            return NONE
        if word == "offer":
            return self.mood(index, end, depth + 1)
        if word in ("way", "option", "possibility", "permission", "authority", "right", "power", "means") and denied:
            return REFUSE
        if word == "you" and index and self.words[index - 1] in ("need", "want", "like", "ask") and subject in ("i", "we"):
            return OFFER if self.words[to + 1] in _SENDING else NONE
        if word == "you" and index and self.words[index - 1] in ("help", "let"):
            return self.mood(index - 1, end, depth + 1)
        return NONE

    def _gerund(self, head: int, end: int, depth: int) -> str:
        index, negated, _ = self._left(head)
        if self.clause.kind == "if":
            return NONE
        if index < 0:
            return NONE if self.question else OFFER if not negated else REFUSE
        word = self.words[index]
        if word in BE:
            subject = self._subject(index)
            if subject == "you" or (self.question and self.clause.inverted):
                return NONE
            denied = negated or "not" in self.words[index:head] or (word == "be" and "not" in self.words[max(index - 3, 0) : index])
            return REFUSE if denied else OFFER
        if word == "of" and "liberty" in self.words[:index]:
            return DONE
        if word in ("with", "start", "begin", "handle", "proceed", "by", "you", "mind") and index:
            if word == "with" and self.words[index - 1] in ("help", "assist", "proceed", "ahead", "start", "you"):
                at = index - 1 if self.words[index - 1] != "you" else index - 2
                if at >= 0 and (self.words[at] in ("help", "assist", "proceed", "start") and "/" in self.tags[at]):
                    return self.mood(at, end, depth + 1)
                if self.words[at] in ("ahead", "proceed"):
                    return self._base(at, end, depth + 1)
            if word in ("start", "begin", "handle"):
                return self.mood(index, end, depth + 1)
            if word == "mind" and self.words[head] in ("send", "return"):
                return OFFER
            return NONE
        if word in ("suggest", "recommend", "propose", "advise"):
            return OFFER if not negated else NONE
        if word == "from" and {"prevent", "stop", "keep", "forbid", "bar"} & set(self.words[max(index - 4, 0) : index]):
            return REFUSE
        if word == "no":
            return REFUSE
        if word in ("and", "or"):
            earlier = next((i for i in range(index - 1, -1, -1) if self.tags[i].endswith("/g")), -1)
            return self._gerund(earlier, end, depth) if earlier >= 0 else NONE
        return NONE


def denied_after(after: str) -> bool:
    """Whether what follows a mention says that it can't be."""
    head = f" {after}".split(" is ", 1)
    if after.startswith(("will not work", "will not happen", "can not be", "could not be", "will not be", "would have been")):
        return True
    if "is not " in after or "are not " in after or "is no longer" in after or "are no longer " in after:
        at = after.find("not ") if "not " in after else after.find("no longer ")
        return at < 45 and any(word in after[at:] for word in _POSSIBLE)
    return (
        len(head) == 2
        and len(head[0]) < 30
        and head[1]
        .removeprefix("simply ")
        .startswith(("impossible", "out of the question", "off the table", "too late", "against", "unavailable", "exclude"))
    )
