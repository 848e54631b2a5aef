"""A few hundred varied sentences to compare encoders on: product captions by a small grammar, and general ones."""

from __future__ import annotations

import random

_COLOURS = "red navy black off-white beige mustard olive burgundy turquoise lilac silver charcoal coral cream teal gold"
_PATTERNS = "plain striped checked floral dotted melange leopard-print colour-block embroidered pleated"
_AUDIENCES = "women men children babies everyone"
_KINDS = """\
t-shirt / trousers / maxi dress / sneakers / rain jacket / leather belt / bikini top / wool scarf / floor lamp / coffee mug /
running shorts / knitted jumper / denim skirt / backpack / sunglasses / pyjama set / stoneware plate / headphones /
wooden toy train / duvet cover / trench coat / ankle boots / baseball cap / gold-plated earrings"""
_TRAITS = """\
for summer evenings / for the office / for long walks in the rain / made of recycled polyester / with a soft brushed inside /
with a concealed zip at the back / that goes with almost anything / in a relaxed fit with dropped shoulders / for the gym /
with adjustable straps and a scooped neckline / in organic cotton with a ribbed collar / with a wide hem and side slits /
suitable for weddings and parties / that folds into its own pocket"""
_FORMS = """\
{colour} {pattern} {kind} for {audience}.
{colour} {pattern} {kind} for {audience}. A {kind} {trait}.
{kind} {colour}
A {pattern} {kind} {trait}, in {colour} and {other}, for {audience}. It comes {again}.
{kind}
Looking for a {colour} {kind} {trait}"""
_GENERAL = """\
The train to the coast leaves at half past seven.
She painted the fence before the rain came.
Interest rates rose for the third time this year.
Where can I find a good recipe for lentil soup?
Photosynthesis turns light into chemical energy.
The committee postponed its decision until Monday.
He plays the cello in a small orchestra.
A script that reads a file line by line and counts the words.
The museum is closed on public holidays.
Our flight was delayed by fog for almost four hours.
ok
Why is the sky blue?
The patient was given antibiotics for ten days.
The goalkeeper saved two penalties in the final.
Mix flour, sugar and butter until the dough crumbles, then chill it for an hour.
A violin maker in Cremona repaired the cracked instrument.
The river froze in January, and children skated on it until March.
How do I reset my password?
Two glasses of cold water, please.
The bridge was designed to sway slightly in strong wind.
Der Zug fährt um acht Uhr ab.
La librairie est ouverte le dimanche matin.
Whales communicate over hundreds of kilometres with low-frequency calls.
Parliament voted 312 to 288 in favour of the amendment.
The old lighthouse keeper wrote down the weather every evening, the ships that had passed, what he had eaten, and, when \
the radio worked, who had won the football, until one winter the notebook stopped without a reason.
3.14159
Our house has three bedrooms, a cellar and a leaking roof.
She could not decide between the law and the theatre.
Gravity bends the path of light near massive stars.
!?
The cat slept on the warm bonnet of the car."""


def check_sentences(count: int = 400, seed: int = 7) -> list[str]:
    """Return ``count`` different sentences of 1 to about 70 tokens: the general ones, then products."""
    chance = random.Random(seed)
    colours, patterns, audiences = _COLOURS.split(), _PATTERNS.split(), _AUDIENCES.split()
    kinds, traits = (text.replace("\n", " ").split(" / ") for text in (_KINDS, _TRAITS))
    sentences = dict.fromkeys(_GENERAL.splitlines())
    while len(sentences) < count:
        form = chance.choice(_FORMS.splitlines())
        sentence = form.format(
            colour=chance.choice(colours).capitalize(),
            other=chance.choice(colours),
            pattern=chance.choice(patterns),
            kind=chance.choice(kinds),
            audience=chance.choice(audiences),
            trait=chance.choice(traits),
            again=chance.choice(traits),
        )
        sentences[sentence] = None
    return list(sentences)[:count]
