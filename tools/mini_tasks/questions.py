"""Paraphrases of questions, in the place of Quora's: ways, prices, times and places."""

from mini_tasks.paraphrase import make_grammar
from mini_tasks.words import Draw

WORDS = {
    "do": (
        "buy=purchase begin=start build=raise repair=restore hide=conceal "
        "find=discover choose=pick_out keep=preserve watch=observe clean=wash "
        "destroy=ruin fetch=bring show=display examine=look_over finish=complete "
        "use=make_use_of "
        "collect=gather draw=sketch protect=guard describe=give_an_account_of "
        "throw_away=get_rid_of steal=rob_somebody_of catch=seize sell=part_with "
        "visit=call_at praise=speak_well_of lose=drop follow=go_after "
        "measure=take_the_length_of"
    ),
    "it": (
        "a_house=a_dwelling a_boat=a_vessel a_picture=a_painting a_note=a_short_letter "
        "a_carriage=a_coach a_stone=a_rock a_sofa=a_couch a_bag=a_sack a_carpet=a_rug "
        "a_rope=a_cord a_box=a_chest a_dress=a_gown a_shop=a_store a_song=a_tune "
        "a_story=a_tale a_newspaper=a_journal a_room=a_chamber a_hut=a_cabin "
        "an_inn=a_tavern a_doctor=a_physician a_lawyer=an_attorney "
        "a_servant=an_attendant a_sailor=a_seaman a_wood=a_forest a_present=a_gift "
        "a_priest=a_clergyman a_mirror=a_looking-glass a_stream=a_brook a_pond=a_pool "
        "a_tomb=a_grave an_army=a_body_of_troops"
    ),
    "place": (
        "London Paris Rome Oxford England Ireland France Italy Egypt India America "
        "Florence Bath York Cambridge Africa China Wales Devonshire Bristol "
        "Southampton the_country the_town=the_city "
        "the_North the_South the_mountains=the_hills the_street=the_road"
    ),
}
"""Slot -> synonyms; a name has none."""

FRAMES = (
    (
        "How can I {do} {it} in {place}?",
        "What is the best way to {do} {it} in {place}?",
        "Is there an easy way to {do} {it} when one is in {place}?",
        "In {place}, how does one {do} {it}?",
    ),
    (
        "Why do people {do} {it} in {place}?",
        "For what reason do people {do} {it} in {place}?",
        "In {place}, what makes people {do} {it}?",
        "What is the reason that people in {place} {do} {it}?",
    ),
    (
        "When should I {do} {it} in {place}?",
        "What is the right time of the year to {do} {it} in {place}?",
        "In {place}, at what time of the year should one {do} {it}?",
        "At what season is it best to {do} {it} in {place}?",
    ),
    (
        "How much does it cost to {do} {it} in {place}?",
        "What money do I need to {do} {it} in {place}?",
        "In {place}, what must one pay to {do} {it}?",
        "What is the price if I want to {do} {it} in {place}?",
    ),
    (
        "How long does it take to {do} {it} in {place}?",
        "How many days does one need to {do} {it} in {place}?",
        "In {place}, is much time needed to {do} {it}?",
        "Does it take many weeks to {do} {it} in {place}?",
    ),
    (
        "Who can help me to {do} {it} in {place}?",
        "Do you know anybody in {place} who would help me to {do} {it}?",
        "In {place}, whom can one ask for help to {do} {it}?",
        "Which person could give me help in {place} to {do} {it}?",
    ),
    (
        "Is it wrong to {do} {it} in {place}?",
        "In {place}, is there any law that one may not {do} {it}?",
        "Am I not allowed to {do} {it} in {place}?",
        "Shall I be in trouble if I {do} {it} in {place}?",
    ),
)


def grammar(held_out: bool) -> Draw:
    """Returns the grammar with the words of one side; class 1 is a duplicate."""
    return make_grammar(FRAMES, WORDS, held_out)
