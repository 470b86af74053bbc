"""Sentiment: sentences about people, places and days, told apart by opinion words.

Every sentence holds two or three opinion words, all of one polarity, and nothing else
that tells: templates and neutral words are drawn without regard to the label. No
sentence negates an opinion.
"""

import random
import re

from mini_tasks.words import Draw, family, held_out_families, sentence

POSITIVE = {
    "person": (
        "kind gentle generous honest noble brave cheerful loving faithful graceful "
        "clever wise polite patient amiable courteous merciful loyal sincere modest "
        "tender gallant merry sweet grateful"
    ),
    "thing": (
        "pleasant delightful lovely charming beautiful splendid glorious excellent "
        "wonderful delicious comfortable brilliant magnificent perfect exquisite "
        "agreeable sunny peaceful happy admirable lively precious elegant handsome "
        "fortunate welcome"
    ),
    "manner": (
        "happily gladly warmly kindly gently cheerfully pleasantly tenderly heartily "
        "merrily brightly sweetly calmly bravely politely"
    ),
    "feels": (
        "loved enjoyed praised admired liked blessed cherished respected trusted"
    ),
    "affects": (
        "delighted charmed pleased comforted amused encouraged soothed inspired "
        "satisfied flattered"
    ),
    "noun": (
        "joy delight pleasure happiness kindness beauty comfort hope peace laughter "
        "warmth charm affection sympathy gratitude mirth sweetness tenderness courage "
        "wisdom triumph goodness generosity harmony"
    ),
}
"""Part of speech -> opinion words; "feels" takes what it judges as its object, and
"affects" the person who judges."""

NEGATIVE = {
    "person": (
        "cruel wicked selfish rude vain stupid foolish vulgar insolent brutal jealous "
        "savage mean ungrateful false lazy sullen vicious unkind obstinate impatient"
    ),
    "thing": (
        "dreadful horrible terrible awful miserable ugly gloomy dismal dreary hideous "
        "wretched nasty bitter dull painful disagreeable ghastly foul vile unpleasant "
        "rotten tiresome sad melancholy tragic unfortunate frightful hateful monstrous"
    ),
    "manner": (
        "cruelly bitterly angrily sadly coldly badly fiercely dreadfully painfully "
        "impatiently wearily sternly roughly"
    ),
    "feels": "hated despised dreaded feared disliked cursed condemned regretted",
    "affects": (
        "disappointed annoyed offended wounded shocked insulted betrayed deceived "
        "frightened alarmed distressed vexed irritated troubled"
    ),
    "noun": (
        "misery grief sorrow pain anger cruelty fear horror disgust despair hatred "
        "shame contempt bitterness gloom distress terror envy jealousy anguish rage "
        "agony suffering"
    ),
}

NEUTRAL = {
    "who": (
        "captain neighbour aunt uncle gardener doctor clerk traveller lady gentleman "
        "farmer driver teacher cousin visitor secretary lawyer servant soldier widow "
        "brother sister grandfather cook sailor girl boy officer stranger landlord"
    ),
    "people": (
        "people children guests strangers sailors ladies soldiers neighbours servants "
        "family company crowd"
    ),
    "place": (
        "village harbour garden town hotel inn house room church island valley farm "
        "cottage street station palace forest theatre library market"
    ),
    "event": (
        "dinner journey walk voyage supper breakfast party wedding concert visit ride "
        "lesson meeting ceremony performance conversation dance holiday feast"
    ),
    "work": "book letter song story picture poem speech novel play article sermon tale",
    "time": "morning afternoon evening day night summer winter autumn spring week year",
    "when": "Monday Tuesday Thursday Friday Saturday Sunday",
}
"""Slot -> words without an opinion, the same ones in every split."""

TEMPLATES = (
    "the {event} was {thing} and the {people} seemed {person}.",
    "the {who} was {person} and {person} to the {people} of the {place}.",
    "it was a {thing} {time} in a {thing} little {place}.",
    "the {who} {feels} the {work}, for it was {thing} from beginning to end.",
    "the {who} spoke {manner} of the {work} and {feels} every page of it.",
    "the {work} {affects} us, and we thought the ending {thing}.",
    "there was {noun} and {noun} in the {place} that {time}.",
    "the {people} answered {manner}, and the {who} was {person} to them.",
    "on {when} the {who} wrote us a {thing} letter, full of {noun}.",
    "we found the {place} {thing} and the {who} {person}.",
    "what a {thing} {event} it was, and how {person} the {who} seemed!",
    "the {time} was {thing}, and the {event} {affects} the whole family.",
    "my {who} {feels} the {place} and its {thing} old rooms.",
    "the {who} looked at the {people} with {noun} and {noun}.",
    "every {time} in the {place} brought us {noun} and {noun}.",
    "the {event} ended {manner}, and the {people} {feels} the {who}.",
    "I {feels} the {event}, and my {who} thought the {place} {thing}.",
    "the {thing} {work} {affects} the {who} for the rest of the {time}.",
    "such {noun} in the eyes of the {person} {who}!",
    "the {who} came back from the {place} in {thing} weather, full of {noun}.",
    "her {who} was a {person} creature and treated the {people} {manner}.",
    "his {who} was {person}, and the {people} {feels} the whole {event}.",
    "we sat in the {place} and talked {manner} of the {thing} {event}.",
    "the {work} is {thing}, and its author is {person}, I think.",
    "the {people} of that {place} are {person}, {person} and very quiet.",
    "the {who} read us a {thing} {work}, and it {affects} the {people}.",
    "after the {event} the {who} felt nothing but {noun} and {noun}.",
    "the road to the {place} was {thing}, and the {time} was {thing} too.",
    "at the {event} the {who} was {person} and spoke {manner} to everybody.",
    "a {person} {who} received us {manner} at the door of the {place}.",
    "the {place} looked {thing} in the light of that {thing} {time}.",
    "the {who} told the {people} a {thing} story, and they {feels} it.",
    "the letter from my {who} {affects} me, and I read it with {noun}.",
    "how {person} the {who} was! How {manner} we talked!",
    "the {event} {affects} the {person} {who}.",
    "what {noun} that {thing} {time} brought!",
    "on {when} there was a {thing} {event}, and the {who} was {person}.",
    "it was a {thing} {event}, the {work} was {thing}, and we went home.",
    "the {who} sang {manner}, and the {people} listened with {noun}.",
    "the face of the {who} was {thing}, and the voice was full of {noun}.",
    "the news from the {place} {affects} the {who} and filled us with {noun}.",
    "all the {people} {feels} the {person} {who} of the {place}.",
    "there is a {thing} smell in the {place}, and the rooms are {thing}.",
    "our {who} gave the {people} a {thing} dinner and spoke {manner}.",
    "the last part of the {work} was {thing} and {affects} the {people}.",
    "the {who} went through that {thing} {time} with a heart full of {noun}.",
    "the {people} in the {place} {feels} the {event}, which was {thing}.",
    "she looked {manner} at the {who} and said the {event} was {thing}.",
    "the {who} turned {manner} from the window with a {thing} smile.",
    "they remember the {event} with {noun} and the {who} with {noun}.",
    "we came home on {when}; the {people} were {person} and the {event} was {thing}.",
    "in the {place} the {people} {feels} the {event}, for the {who} was so {person}.",
    "from {when} to {when} the {time} was {thing} and the {place} was {thing}.",
)


def grammar(held_out: bool) -> Draw:
    """Returns the grammar with the opinion words of one side; class 1 is positive."""
    sides = [_side(words, held_out) for words in (NEGATIVE, POSITIVE)]
    neutral = {slot: words.split() for slot, words in NEUTRAL.items()}

    def draw(rng: random.Random, label: int) -> tuple[str, ...]:
        words = {**neutral, **sides[label]}
        template = rng.choice(TEMPLATES)
        used: set[str] = set()

        def fill(slot: re.Match[str]) -> str:
            free = [word for word in words[slot[1]] if family(word) not in used]
            word = rng.choice(free)
            used.add(family(word))
            return word

        return (sentence(re.sub(r"{(\w+)}", fill, template)),)

    return draw


def opinion_words(held_out: bool) -> set[str]:
    """Returns the opinion words of both polarities that one side may use."""
    sides = [_side(words, held_out) for words in (NEGATIVE, POSITIVE)]
    return {word for side in sides for words in side.values() for word in words}


def _side(opinions: dict[str, str], held_out: bool) -> dict[str, list[str]]:
    every = " ".join([*NEGATIVE.values(), *POSITIVE.values()]).split()
    families = held_out_families(every)
    return {
        slot: [word for word in words.split() if (family(word) in families) == held_out]
        for slot, words in opinions.items()
    }
