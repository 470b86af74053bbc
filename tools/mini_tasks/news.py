"""Paraphrases of news: what was announced, what happened, what things cost."""

from mini_tasks.paraphrase import make_grammar
from mini_tasks.words import Draw

WORDS = {
    "who": (
        "minister bishop governor general colonel duke president secretary judge "
        "inspector professor captain admiral prince king lawyer=attorney "
        "doctor=physician priest=clergyman"
    ),
    "body": (
        "government company bank council university army=troops police "
        "parliament school fleet club=society"
    ),
    "verb": (
        "buy/bought=purchase/purchased open/opened=throw_open/thrown_open "
        "close/closed=shut/shut destroy/destroyed=ruin/ruined build/built=raise/raised "
        "search/searched=examine/examined sell/sold=part_with/parted_with "
        "remove/removed=take_away/taken_away restore/restored=repair/repaired "
        "protect/protected=guard/guarded attack/attacked=strike/struck "
        "describe/described=give_an_account_of/given_an_account_of "
        "abandon/abandoned=give_up/given_up visit/visited=call_at/called_at"
    ),
    "harm": (
        "destroyed=ruined burnt=burned injured=hurt carried_away=swept_away "
        "buried=covered broken=crushed surrounded=shut_in"
    ),
    "cause": (
        "a_storm=a_tempest a_fire=a_blaze a_flood=a_rush_of_water a_mob=an_angry_crowd "
        "the_enemy=the_foe the_wind=the_gale the_snow=the_drift robbers=thieves "
        "the_sea=the_waves"
    ),
    "things": (
        "houses=dwellings ships=vessels schools bridges carriages=coaches "
        "shops=stores inns=taverns mills castles churches=chapels gardens "
        "prisons farms cottages=huts roads towers palaces hospitals stations "
        "woods=forests hotels theatres"
    ),
    "number": (
        "two=a_pair_of three four five six seven eight nine ten eleven "
        "twelve=a_dozen fifteen twenty=a_score_of thirty forty fifty sixty "
        "a_hundred=one_hundred"
    ),
    "goods": (
        "corn wheat bread sugar tea meat milk butter wine beer tobacco silk iron gold "
        "silver coal cotton"
    ),
    "move": (
        "rose/risen=increased/increased fell/fallen=dropped/dropped doubled/doubled "
        "did_not_change/not_changed=remained_the_same/remained_the_same"
    ),
    "place": (
        "London Paris Rome Oxford England Ireland France Italy Egypt India America "
        "Florence Bath York Cambridge Africa China Wales Devonshire Bristol Southampton"
    ),
    "day": ("Monday Tuesday Thursday Friday Saturday Sunday"),
}
"""Slot -> synonyms; names and most numbers have none."""

FRAMES = (
    (
        "The {who} said on {day} that the {body} would {verb} {number} {things} in "
        "{place}.",
        "On {day} the {who} announced that {number} {things} in {place} would be "
        "{verb.past} by the {body}.",
        '"The {body} will {verb} {number} {things} in {place}," the {who} told the '
        "newspapers on {day}.",
        "In {place}, {number} {things} will be {verb.past} by the {body}, according to "
        "a speech that the {who} made on {day}.",
    ),
    (
        "On {day}, {number} {things} in {place} were {harm} by {cause}, the {who} "
        "said.",
        "According to the {who}, it was on {day} that {number} {things} were {harm} by "
        "{cause} in {place}.",
        'The {who} told the newspapers in {place}: "It was {cause} by which {number} '
        '{things} were {harm} on {day}."',
        "In {place}, {cause} came on {day}, by which {number} {things} were {harm}, so "
        "the {who} stated.",
    ),
    (
        "The price of {goods} in {place} {move} on {day}, for the {body} had ordered "
        "{number} bags of it.",
        "As the {body} had given an order for {number} bags of {goods}, the price of "
        "it in {place} had {move.past} by the end of {day}.",
        "On {day} the {goods} market of {place} heard that the {body} had bought "
        "{number} bags, and the price {move}.",
    ),
)


def grammar(held_out: bool) -> Draw:
    """Returns the grammar with the words of one side; class 1 is an equivalent."""
    return make_grammar(FRAMES, WORDS, held_out)
