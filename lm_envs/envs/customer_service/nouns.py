"""What is said of an operation's noun: "no refunds", "a refund is on its way", "would you like a refund?"."""

from __future__ import annotations

from lm_envs.envs.customer_service.clauses import AUXILIARIES, BE, HAVE, MODALS, QUESTION_WORDS
from lm_envs.envs.customer_service.moods import DONE, NONE, OFFER, PROPOSE, REFUSE, WISH, Verbs, denied_after

_SETTLED = tuple(
    (
        "went through, came through, gone through, back in your, back on your, back with you, in your inbox, in your email, "
        "on its way, on the way, through, complete, done, in the post, all set, successful, confirm, approve, in place, "
        "with your bank, finish, sort"
    ).split(", ")
)
_COMING = frozenset("coming underway progress being arrive reach take appear show go be leave land hit follow come".split())
_GRANTING = frozenset(
    "eligible entitled offer available possible accept do qualify allow give can provide due get approve agree will cover".split()
)


class Words(Verbs):
    """The words of a clause, asked for the mood of a verb or a noun in it."""

    def noun(self, start: int, end: int) -> str:
        """What is said of the noun from ``start`` to before ``end``."""
        left, right = self.words[max(start - 9, 0) : start], self.words[end : end + 9]
        after = " ".join(right)
        if self.clause.kind == "if":
            return NONE
        asking = self.question or self.clause.inverted
        if self.words[max(start - 6, 0) :][:2] in (["how", "about"], ["what", "about"]) or {"how about", "what about"} & {
            " ".join(self.words[:2])
        }:
            return PROPOSE
        if (
            left[-1:]
            and left[-1] in ("without", "before", "after", "until", "pending")
            or left[-2:-1]
            and left[-2] in ("without", "before", "after", "pending")
        ):
            return NONE
        if not asking and {"neither", "nor"} & {*left[-3:]}:
            return REFUSE
        if asking and ("right" in self.words or "correct" in self.words):
            return NONE
        if right[:1] and right[0] in ("coming", "incoming"):
            return OFFER
        if asking:
            wanting = {"like", "prefer", "want", "rather", "interested", "care"} & set(left)
            if wanting and "you" in left:
                if not self.clause.inverted and self.question:
                    return WISH if "or" in self.words else NONE
                return NONE if not QUESTION_WORDS.isdisjoint(self.words[:start]) else WISH
            opening = [word for word in self.words if word not in self.adverbs and word not in ("and", "or")][:2]
            if (
                len(opening) > 1
                and opening[0] in ("shall", "should", "can", "may", "could")
                and opening[1] in ("i", "we")
                and {"ahead", "proceed", "with", "do", "continue"} & set(left)
            ):
                return PROPOSE
            if {"okay", "work", "suit", "happy", "acceptable"} & {*left, *right}:
                return PROPOSE
            if "or" in left[-4:] or "or" in right[:4] or ("else" not in self.words and len(self.words) <= 4):
                return WISH
            return NONE
        close = {*left[-7:]}
        if denied_after(after):
            return REFUSE
        if {"exclude", "decline", "refuse", "reject", "deny"} & close and "not" not in close and not asking:
            return REFUSE
        if "request" in {*left[-4:], *right[:2]} and ({"decline", "refuse", "reject", "deny"} & set(right) or "turn down" in after):
            return NONE if "not" in right else REFUSE
        if close & {"see", "find", "locate", "know"} and "not" in close:
            return NONE
        if after.startswith(("on the way", "on its way", "done", "complete", "through")):
            return DONE
        if "enough" in left and "not" in left:
            return REFUSE
        if "too" in left and {"long", "late", "old", "soon", "early"} & close:
            return REFUSE
        if "no" in left[-4:] and AUXILIARIES.isdisjoint(left[-4:]) and (BE | HAVE | MODALS).isdisjoint(right[:3]):
            return REFUSE
        if left[-1:] == ["no"] or (close & {"not", "no", "never"} and {*left, *right} & _GRANTING):
            return REFUSE
        help_at = next(
            (
                i
                for i in range(start - 1, max(start - 7, -1), -1)
                if self.words[i] in ("help", "assist", "handle", "arrange", "sort", "proceed", "ahead", "look")
            ),
            -1,
        )
        if self.words[:1] == ["to"] or self.words[:3] == ["in", "order", "to"]:
            return NONE
        if "working on" in " ".join(left):
            return OFFER
        if help_at >= 0 and self.words[help_at] not in ("look",) and self.tags[help_at][-2:] not in ("/p",):
            if any(m in self.words[max(help_at - 6, 0) : help_at] for m in MODALS | {"to", "let"}) and not {"how", "thanks"} & set(
                self.words[:help_at]
            ):
                return self.mood(help_at, end, 1) if "/" in self.tags[help_at] else OFFER
        if any(phrase in after for phrase in _SETTLED) and set(right[:5]) & (BE | HAVE | {"complete", "went", "came"}):
            denied = {"not", "longer"} & set(right[:4])
            if not MODALS.isdisjoint(right[:4]):
                return REFUSE if denied else OFFER
            return NONE if denied else OFFER if {"being", "going", "about"} & set(right[:3]) else DONE
        if right[:1] and (right[0] in MODALS or right[0] in BE) and set(right[:7]) & _COMING:
            if right[0] in ("may", "can") and "take" in right[:3]:
                return NONE
            return REFUSE if "not" in right[:4] else OFFER
        if {"eligible", "entitled", "qualify"} & {*left}:
            return OFFER
        if after.startswith(("is possible", "is available", "is fine", "is an option", "is no problem")):
            return OFFER
        modal = next((i for i in range(start - 1, max(start - 8, -1), -1) if self.words[i] in MODALS), -1)
        if (
            modal >= 0
            and {"have", "get", "expect", "claim", "ask", "choose", "see"} & set(self.words[modal:start])
            and "you" in self.words[max(modal - 2, 0) : start]
            and self.words[modal] not in ("would",)
        ):
            return OFFER
        if "there" in left[-3:] and self.words[start] in ("ticket", "case"):
            return NONE if "not" in close else DONE
        if {"suggest", "recommend", "propose"} & (close | set(right[:5])) and "not" not in right[:5]:
            return OFFER
        return NONE
