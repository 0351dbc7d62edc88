"""Values in a sentence: order numbers, money, dates, days, articles, addresses, e-mail addresses and points."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

_PLACES = (
    "street road lane avenue close drive way court place square crescent terrace gardens grove hill row walk park mews rise view green "
    "yard quay parade boulevard wharf st rd ave ln dr blvd strasse bank field fields gate"
).replace(" ", "|")
_POSTCODE = r"[a-z]{1,2}\d[a-z\d]? ?\d[a-z]{2}|\d{5}"
_STOP = (
    "and or is as so to in for instead now from on will has once before if when i we but that this right please correct which yes okay ok "
    "thanks"
).replace(" ", r"\b|")
_ADDRESS = (
    r"\b\d{1,3}[a-z]?,? (?:(?!(?:is|on|its|the|of|to|are|was|has|have|it|for|in|at|by|your|our|day|days|pounds)\b)[a-z'-]{2,20} ){1,3}"
    rf"(?:{_PLACES})\b\.?"
    rf"(?:, ?(?:TOWNS)\b|,? (?:(?!{_STOP}\b)[a-z'-]{{2,20}} ?){{1,2}}(?=,|{_POSTCODE}|[.!?]|$))?"
    rf"(?:,? ?(?:{_POSTCODE})\b)?"
)
_DIGIT = re.compile(r"\d")
_EMAIL = re.compile(r"\b[a-z0-9][\w.+-]{0,63}@[a-z0-9-]{1,63}(?:\.[a-z0-9-]{1,63}){1,4}")
_ARTICLE = re.compile(r"\bkb[- ]?0*(\d{1,4})\b|\barticle (?:number |no\.? |#)?0*(\d{1,3})\b")
_POINTS = re.compile(
    r"\b(\d{1,3}(?:,\d{3})+|\d{1,7}) (?:[a-z]{1,12} ){0,2}(?:points|pts)\b"
    r"|\bpoints?(?: [a-z]{1,10}){0,3}:? (?:is |at |of |are )(?:now |currently )?(\d{1,3}(?:,\d{3})+|\d{1,7})\b"
    r"|\bpoints(?: [a-z]{1,10}){0,4}: ?(\d{1,7})\b"
)
_MONEY = re.compile(
    r"[£$€] ?(\d{1,3}(?:,\d{3})+|\d{1,7})(?:\.(\d{1,2}))?(?!\d)"
    r"|\b(?:gbp|eur|usd) ?(\d{1,7})(?:\.(\d{1,2}))?\b"
    r"|\b(\d{1,3}(?:,\d{3})+|\d{1,7})(?:\.(\d{1,2}))? ?(?:[£$€]|(?:pounds?|gbp|quid|dollars?|usd|euros?|eur)\b)"
    r"(?:(?: and)? (\d{1,2}) ?(?:p\b|pence))?"
    r"|(?<![\d./-])(\d{1,5})\.(\d{2})(?![\d%]|\.\d|/)"
)
_ISO = re.compile(r"\b(?:19|20)\d\d-(\d{1,2})-(\d{1,2})\b")
_SLASH = re.compile(
    r"(?<![\d/.])(\d{1,2})[/](\d{1,2})(?:[/](?:20)?\d\d)?(?![\d/])|(?<![\d/.])(\d{1,2})\.(\d{1,2})\.(?:20\d\d)?(?!\d)|(?<!\d)(\d{1,2})-(\d{1,2})-20\d\d\b"
)
_RATE = re.compile(r"(?:once|twice|times|every|day|hours?) $")
_ORDER = re.compile(
    r"(?:\b(?:orders?|number|no|nr|order id|reference|ref)\b\.?:? {0,2}"
    r"(?:(?:number|no|nr|is|id|ref|reference|of|was|should be)\b\.?:? ?){0,3}[#(\"']? ?|#\s?)(\d{3,10})(?!\d|[.,]\d|%)"
)
_BARE = re.compile(
    r"(?<!ending )(?<!ending in )(?<!ending with )(?<!card )(?<!ends in )(?<![\d.,£$€-])"
    r"(\d{4,8})(?![\d%]|[.,]\d| ?(?:points|pts|days|hours|mah|mm|ml|grams|watt|times|miles))"
)


@cache
def _calendar(months: tuple[tuple[str, ...], ...]) -> tuple[re.Pattern[str], dict[str, int]]:
    names = {name: index for index, group in enumerate(months, 1) for name in group}
    month = "|".join(sorted(names, key=len, reverse=True))
    pattern = rf"\b(\d{{1,2}})(?:st|nd|rd|th)?(?: of)? ({month})\b\.?(?:,? 20\d\d\b)?"
    pattern += rf"|\b({month})\.? (?:the )?(\d{{1,2}})(?:st|nd|rd|th)?(?!\d|\.\d)(?:,? 20\d\d\b)?"
    return re.compile(pattern), names


class Entities:
    """Finds values and puts ``<kind:index>`` in their place.

    Args:
        data: `words.json`.
        towns: names of towns, which may end an address without a postcode.
    """

    def __init__(self, data: Mapping[str, Any], towns: Iterable[str]) -> None:
        self._address = re.compile(_ADDRESS.replace("TOWNS", "|".join(re.escape(town.lower()) for town in towns)))
        self._dates, self._months = _calendar(tuple(map(tuple, data["months"])))
        self._numbers = {word: str(number) for word, number in data["numbers"].items()}
        tens = [word for word, number in data["numbers"].items() if 20 <= number < 100]
        units = [word for word, number in data["numbers"].items() if number < 10]
        self._ordinals = {word: str(number) for word, number in data["ordinals"].items()}
        self._tens = re.compile(rf"\b({'|'.join(tens)})[- ]({'|'.join([*units, *(o for o, n in data['ordinals'].items() if n < 10)])})\b")
        number = rf"\d{{1,4}}|{'|'.join(self._numbers)}"
        self._days = re.compile(
            rf"\b(?:(?P<low>{number}|a) ?(?:-|to|or|and) ?)?(?P<high>{number}|a)(?:-| )?"
            r"(?:(?:working|business|calendar|full|more|whole|extra|week|consecutive|standard|delivery|or so|late) ?)?"
            r"(?P<unit>days?|weeks?)\b(?: or (?P<more>two|three)\b)?"
        )
        ordinal, month = "|".join(sorted(self._ordinals, key=len, reverse=True)), "|".join(self._months)
        self._spelt_month = re.compile(rf"\b(?:the )?({ordinal})(?= of (?:{month})\b)|\b({month}) (?:the )?({ordinal})\b")
        self._spelt_money = re.compile(rf"\b({'|'.join(self._numbers)})(?= (?:pounds|pound|quid|dollars|euros)\b)")

    def replace(self, text: str, addresses: tuple[str, ...] = ()) -> tuple[str, list[tuple[str, str]]]:
        """A lower-case sentence with its values replaced, and the values.

        Args:
            text: the sentence.
            addresses: postal addresses that are known, lower case, to be recognised whatever their form.
        """
        found: list[tuple[str, str]] = []

        def put(kind: str, value: str) -> str:
            found.append((kind, value))
            return f" <{kind}:{len(found) - 1}> "

        text = text.replace("<", " ").replace(">", " ")
        for address in addresses:
            if address in text:
                text = text.replace(address, put("address", address))
        if "@" in text:
            text = _EMAIL.sub(lambda m: put("email", m.group().rstrip(".-")), text)
        text = self._tens.sub(self._sum, text)
        if _DIGIT.search(text):
            text = self._numeric(text, put)
        elif "day" in text or "week" in text or "fortnight" in text:
            text = self._periods(text, put)
        if self._spelt_month.search(text):
            text = self._dates.sub(lambda m: self._date(m, put), self._spelt_month.sub(self._ordinal, text))
        if self._spelt_money.search(text):
            text = _MONEY.sub(lambda m: _money(m, put), self._spelt_money.sub(lambda m: self._numbers[m.group()], text))
        return text, found

    def _sum(self, match: re.Match[str]) -> str:
        tens, unit = match.groups()
        if unit in self._ordinals:
            return f"{int(self._numbers[tens]) + int(self._ordinals[unit])}th"
        return str(int(self._numbers[tens]) + int(self._numbers[unit]))

    def _ordinal(self, match: re.Match[str]) -> str:
        day, month, after = match.groups()
        return self._ordinals[day] if day else f"{month} {self._ordinals[after]}"

    def _numeric(self, text: str, put: Any) -> str:
        text = self._address.sub(lambda m: put("address", " ".join(m.group().rstrip("., ").split())), text)
        text = _ARTICLE.sub(lambda m: put("article", f"KB-{m.group(1) or m.group(2)}"), text)
        text = _ISO.sub(lambda m: _day(m, m.group(2), m.group(1), put), text)
        text = self._dates.sub(lambda m: self._date(m, put), text)
        text = self._periods(text, put)
        if "point" in text or "pts" in text:
            text = _POINTS.sub(lambda m: put("points", str(int((m.group(1) or m.group(2) or m.group(3)).replace(",", "")))), text)
        text = _SLASH.sub(_slashed(put), text)
        text = _MONEY.sub(lambda m: _money(m, put), text)
        text = _ORDER.sub(lambda m: m.group()[: m.start(1) - m.start()].replace("#", "") + put("order", m.group(1)), text)
        return _BARE.sub(lambda m: m.group() if 1990 <= int(m.group()) <= 2035 else put("order", m.group(1)), text)

    def _date(self, match: re.Match[str], put: Any) -> str:
        day, month, month_first, day_after = match.groups()
        return _day(match, day or day_after, str(self._months[month or month_first]), put)

    def _periods(self, text: str, put: Any) -> str:
        if "fortnight" in text:
            text = re.sub(r"\b(?:a |one )?fortnight\b", lambda m: put("days", "14"), text)
        if "day" not in text and "week" not in text:
            return text
        return self._days.sub(lambda m: self._period(m, put), text)

    def _period(self, match: re.Match[str], put: Any) -> str:
        low, high, unit, more = match.group("low", "high", "unit", "more")
        if (
            high == "a"
            and unit == "day"
            and not more
            and not re.search(r"(?:within|in|after|for|takes?|by|just|only|under|about|than) $", match.string[: match.start()])
        ):
            return match.group()
        if high == "a" and _RATE.search(match.string, 0, match.start()):
            return match.group()  # "once a week"
        factor = 7 if unit.startswith("week") else 1
        numbers = [self._numbers.get(number, "1" if number == "a" else number) for number in (low, high, more) if number]
        return "".join(put("days", str(int(number) * factor)) for number in numbers)


def _day(match: re.Match[str], day: str, month: str, put: Any) -> str:
    if not (1 <= int(day) <= 31 and 1 <= int(month) <= 12):
        return match.group()
    return str(put("date", f"{int(month):02}-{int(day):02}"))


def _slashed(put: Any) -> Any:
    def replace(match: re.Match[str]) -> str:
        day, month = [group for group in match.groups() if group]
        if (day, month) == ("24", "7"):
            return match.group()
        return _day(match, *((month, day) if int(month) > 12 else (day, month)), put)

    return replace


def _money(match: re.Match[str], put: Any) -> str:
    a, a2, b, b2, c, c2, pence, d, d2 = match.groups()
    whole = (a or b or c or d).replace(",", "")
    cents = (a2 or b2 or c2 or pence or d2 or "00").ljust(2, "0") if not pence else pence.rjust(2, "0")
    return str(put("money", f"{int(whole)}.{cents}"))
