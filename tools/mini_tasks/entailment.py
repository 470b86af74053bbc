"""Entailment: does the first of two texts say what the second says?

The hypothesis repeats a part of the premise: without its place or time, in the passive,
by a synonym, or by the name of the kind ("a rose" is "a flower"). Where it is not
entailed, one of its parts is another: the opposite verb or adjective, another thing,
person, number, place or time, or what somebody else did.
"""

import dataclasses
import random
from collections.abc import Sequence
from typing import Any, NamedTuple

from mini_tasks.words import Draw, divide, sentence

PEOPLE = (
    "sailor farmer priest merchant lawyer doctor soldier teacher painter baker miller "
    "hunter shepherd gardener porter clerk captain colonel bishop judge prince duke "
    "nurse widow landlord poet beggar messenger constable physician"
)

THINGS = (
    "a flower: rose lily violet",
    "a bird: robin eagle crow",
    "a tree: oak pine elm",
    "a fruit: apple orange",
    "a weapon: sword pistol gun rifle",
    "an animal: horse dog cat cow sheep goat",
    "a vehicle: carriage cart wagon cab",
    "some metal: gold silver iron",
    "a jewel: diamond pearl",
    "some drink: tea coffee wine beer brandy",
    "some meat: beef mutton bacon",
    "a garment: coat cloak shirt waistcoat gown",
    "a piece of furniture: table chair sofa desk",
    "some cloth: silk velvet linen lace",
    "a coin: shilling sovereign penny",
)
"""Kinds, each with its members."""

VERBS = (
    "bought:sold found:lost accepted:refused praised:condemned "
    "remembered/remembered:forgot/forgotten showed/shown:hid/hidden "
    "admired:despised raised:dropped loved:hated preserved:destroyed"
)
"""Opposites, each with its participle if this is another form."""

ADJECTIVES = (
    "rich=wealthy:poor old=aged:young tired=weary:fresh ill=sick:well happy=glad:sad "
    "angry=furious:calm brave=bold:timid strong=powerful:weak "
    "clever=intelligent:stupid stout=fat:thin cheerful=merry:gloomy "
    "polite=courteous:rude proud=haughty:humble quick=swift:slow lazy=idle:busy "
    "silent=quiet:noisy kind=gentle:cruel"
)
"""Synonyms and their opposite."""

PLACES = (
    "at the market,in the harbour,at the station,in the church,in the forest,"
    "in the garden,near the river,on the bridge,near the mill,at the inn,in the square,"
    "at the theatre,in the library,behind the school,in the castle,on the farm,"
    "in the village,on the island,in the valley,on the hill,near the gate,"
    "in the cellar,in the kitchen,near the tower,in the cave,on the beach,"
    "in the street,in the shop,in the prison,at the hospital"
)

TIMES = (
    "on Monday,on Tuesday,on Thursday,on Friday,on Saturday,on Sunday,in the morning,"
    "in the evening,at noon,at midnight,in winter,in summer,in autumn,in May,in June,"
    "in July,in August,in October,in November,at dawn"
)

NUMBERS = "two three four five six seven eight nine ten eleven twelve twenty"

ACTIVITIES = (
    "waited stood slept worked sang danced talked rested walked dined laughed prayed "
    "fought"
)


class Thing(NamedTuple):
    """A thing and its kind, each with its article."""

    name: str
    kind: str


class Deed(NamedTuple):
    """What somebody did to a thing; a verb is its past and its participle."""

    who: str
    verb: str
    opposite: str
    thing: Thing
    where: str
    when: str


@dataclasses.dataclass(frozen=True)
class Scenes:
    """The words of one side, and the four kinds of rows made of them."""

    people: list[str]
    things: list[Thing]
    verbs: Sequence[Sequence[str]]
    adjectives: Sequence[Sequence[Sequence[str]]]
    places: list[str]
    times: list[str]
    numbers: list[str]
    activities: list[str]

    def deed(self, rng: random.Random, entailed: bool) -> tuple[str, str]:
        """A deed; one part of it is another unless entailed."""
        done = self._deed(rng)
        premise = say(rng, done, {"where", "when"})
        shown = {part for part in ("where", "when", "kind") if rng.random() < 0.5}
        if not entailed:
            part = rng.choice(("who", "verb", "thing", "where", "when"))
            shown.add(part)
            done = self._change(rng, done, part)
        return premise, say(rng, done, shown)

    def two_deeds(self, rng: random.Random, entailed: bool) -> tuple[str, str]:
        """Two deeds; the hypothesis is one of them, or mixes both."""
        first, second = self._deed(rng), self._deed(rng)
        while first.who == second.who or first.thing.kind == second.thing.kind:
            second = self._deed(rng)
        premise = f"{say(rng, first, {'where'})}, and {say(rng, second, {'where'})}"
        done, other = rng.sample((first, second), 2)
        if not entailed:
            done = done._replace(who=other.who)
        return premise, say(rng, done, {"kind"} if rng.random() < 0.5 else set())

    def crowd(self, rng: random.Random, entailed: bool) -> tuple[str, str]:
        """A number of people; one part is another unless entailed."""
        words = {
            "number": self.numbers,
            "people": self.people,
            "did": self.activities,
            "where": self.places,
            "when": self.times,
        }
        fact = {part: rng.choice(choice) for part, choice in words.items()}
        premise = "{number} {people}s {did} {where} {when}".format(**fact)
        left_out = rng.choice(("where", "when"))
        if not entailed:
            part = rng.choice([part for part in words if part != left_out])
            fact[part] = rng.choice([w for w in words[part] if w != fact[part]])
        fact[left_out] = ""
        said = "{number} {people}s {did} {where} {when}".format(**fact)
        return premise, " ".join(said.split())

    def quality(self, rng: random.Random, entailed: bool) -> tuple[str, str]:
        """What somebody is like; the opposite unless entailed."""
        same, opposite = rng.sample(rng.choice(self.adjectives), 2)
        who = rng.choice(self.people)
        premise = (
            f"the {rng.choice(same)} {who} {rng.choice(self.activities)} "
            f"{rng.choice(self.places)} {rng.choice(self.times)}"
        )
        return premise, f"the {who} was {rng.choice(same if entailed else opposite)}"

    def _deed(self, rng: random.Random) -> Deed:
        verb, opposite = rng.sample(rng.choice(self.verbs), 2)
        return Deed(
            rng.choice(self.people),
            verb,
            opposite,
            rng.choice(self.things),
            rng.choice(self.places),
            rng.choice(self.times),
        )

    def _change(self, rng: random.Random, deed: Deed, part: str) -> Deed:
        if part == "verb":
            return deed._replace(verb=deed.opposite)
        other = self._deed(rng)
        while getattr(other, part) == getattr(deed, part) or (
            part == "thing" and other.thing.kind == deed.thing.kind
        ):
            other = self._deed(rng)
        changed: dict[str, Any] = {part: getattr(other, part)}
        return deed._replace(**changed)


def say(rng: random.Random, deed: Deed, shown: set[str]) -> str:
    """Words a deed, with its place or time if they are shown, or the thing's kind."""
    what = deed.thing.kind if "kind" in shown else deed.thing.name
    past, participle = (deed.verb.split("/") * 2)[:2]
    if rng.random() < 0.5:
        words = f"the {deed.who} {past} {what}"
    else:
        words = f"{what} was {participle} by the {deed.who}"
    if "where" in shown:
        words = f"{words} {deed.where}"
    if "when" in shown:
        first = rng.random() < 0.5
        words = f"{deed.when} {words}" if first else f"{words} {deed.when}"
    return words


def grammar(held_out: bool) -> Draw:
    """Returns the grammar with the words of one side; class 0 is entailment."""
    scenes = Scenes(
        people=divide(PEOPLE.split(), held_out),
        things=[thing for kind in divide(THINGS, held_out) for thing in _members(kind)],
        verbs=[verb.split(":") for verb in divide(VERBS.split(), held_out)],
        adjectives=[
            [synonyms.split("=") for synonyms in pair.split(":")]
            for pair in divide(ADJECTIVES.split(), held_out)
        ],
        places=divide(PLACES.split(","), held_out),
        times=divide(TIMES.split(","), held_out),
        numbers=divide(NUMBERS.split(), held_out),
        activities=divide(ACTIVITIES.split(), held_out),
    )
    kinds = (scenes.deed, scenes.two_deeds, scenes.crowd, scenes.quality)

    def draw(rng: random.Random, label: int) -> tuple[str, ...]:
        premise, hypothesis = rng.choice(kinds)(rng, label == 0)
        return sentence(f"{premise}."), sentence(f"{hypothesis}.")

    return draw


def _members(kind: str) -> list[Thing]:
    name, members = kind.split(": ")
    article = "some" if name.startswith("some ") else "a"
    return [Thing(f"{article} {member}", name) for member in members.split()]
