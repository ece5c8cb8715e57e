"""The sentences of the generated catalogue and of its instructions. Written for this project; no brand is a real one."""

SYLLABLES = (
    "ba", "bel", "cor", "da", "dor", "el", "fen", "gal", "hal", "ila", "jor", "ka", "lum", "mar", "nel", "or", "pax", "qui",
    "ra", "sol", "tam", "ur", "vel", "wen", "xi", "yor", "zan", "tri",
)  # fmt: skip
SERIES = (
    "Aster", "Birch", "Comet", "Delta", "Ember", "Fjord", "Grove", "Harbor", "Iris", "Juniper", "Karst", "Lagoon", "Meadow",
    "Nimbus", "Onyx", "Prairie", "Quartz", "Ridge", "Summit", "Tundra", "Umbra", "Vale", "Willow", "Zephyr",
)  # fmt: skip

# {a}: an attribute, {n}: the noun, {b}: the brand, {s}: the series.
TITLES_ONE = ("{b} {s} {n}, {a}", "{b} {a} {n} {s}", "{a} {n} by {b}, {s} series", "{s} {n} from {b}, {a}")
TITLES_TWO = (
    "{b} {s} {a} {n}, {c}", "{b} {a}, {c} {n} {s}", "{a} {c} {n} by {b}, {s} series", "{b} {n} {s} - {a}, {c}",
)  # fmt: skip
BULLETS = (
    "{A}: you notice it from the first day on.", "{A} design, checked before it leaves our warehouse.",
    "{A} - the reason why customers come back to {b}.", "Truly {a}, and it stays that way.",
    "What sets the {s} apart: it is {a}.", "{A}, so that you can stop worrying about it.",
    "We asked for {a} and did not settle for less.", "{A} build after many rounds of testing.",
)  # fmt: skip
OPENERS = (
    "The {s} series is what {b} is known for, and this {n} shows why.", "{b} has made a {n} for people who use it every day.",
    "Thoughtful details make this {n} a pleasure to own.", "Whether for yourself or for someone else, this {n} fits in at once.",
    "A {n} should do its work and otherwise stay out of the way.",
    "Everything about this {n} began with a question from a customer.",
)  # fmt: skip
CLAIMS = (
    "It is {a} as well.", "We made it {a}, which is harder than it sounds.",
    "Being {a}, it suits most homes.", "Above all it is {a}.",
)  # fmt: skip
FILLERS = (
    "Returns are free within thirty days.", "Ships in a plain box that can be recycled.", "Our support answers on working days.",
    "Colors may differ a little from what your screen shows.", "Please check the chart before you order.",
    "Designed in a small studio and produced in fair conditions.", "Comes with a two year warranty.", "A short guide is included.",
)  # fmt: skip
REVIEWS = (
    (5, "Exactly what I had hoped for", "I have used this {n} for a month and would buy it again."),
    (5, "Great present", "My sister loves her {n}; she asked me where I had found it."),
    (4, "Good, with one remark", "The {n} does what it says. Delivery took a week."),
    (4, "Solid", "Not the cheapest {n}, but {b} seems to care about details."),
    (3, "It is fine", "An ordinary {n}. Nothing wrong with it, nothing special either."),
    (2, "Not for me", "The {n} looked larger in the pictures, so I sent it back."),
    (1, "Disappointed", "Mine arrived damaged and the {n} could not be used."),
)  # fmt: skip

# {w}: attributes and noun.
INSTRUCTIONS = (
    "i am looking for {w}", "i need {w}", "find me {w}", "show me {w}", "i would like to buy {w}", "can you get me {w}",
    "i want {w}", "please order {w}",
)  # fmt: skip
