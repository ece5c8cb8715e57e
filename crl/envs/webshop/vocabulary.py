"""What the generated catalogue is made of: departments, kinds of product, options, attributes.

Written for this project from everyday product language. Attribute phrases stand well before a noun ("machine washable
quilt cover") and none contains another, nor do two option values of one product, so that the reward's fuzzy matching
never takes one for the other.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of product. `options` names entries of OPTIONS; `attributes` are those that no other kind has."""

    noun: str
    shelf: str  # the last level of the category path
    dollars: tuple[int, int]  # range of base prices
    options: tuple[str, ...]
    attributes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Department:
    """Kinds that share the first two levels of the category path and a pool of attributes, common ones first."""

    path: tuple[str, str]
    attributes: tuple[str, ...]
    kinds: tuple[Kind, ...]


# Option name -> its values, cheapest first where they cost extra, and the extra per rank as a share of the base price.
OPTIONS: dict[str, tuple[tuple[str, ...], float]] = {
    "color": (
        (
            "black", "white", "navy", "charcoal", "ivory", "sage", "burgundy", "mustard", "teal", "coral", "lavender",
            "olive", "rust", "turquoise", "beige", "silver", "gold", "pink", "crimson", "emerald",
        ),
        0.0,
    ),
    "size": (("x-small", "small", "medium", "large", "x-large", "xx-large", "3x-large"), 0.0),
    "shoe size": (("5", "6", "6.5", "7", "7.5", "8", "8.5", "9", "9.5", "10", "11", "12"), 0.0),
    "bed size": (("twin", "twin xl", "full", "queen", "king", "california king"), 0.18),
    "panel size": (("42 x 45 inch", "42 x 63 inch", "52 x 63 inch", "52 x 84 inch", "52 x 96 inch", "70 x 108 inch"), 0.12),
    "rug size": (("2 x 3 feet", "2 x 8 feet", "4 x 6 feet", "5 x 8 feet", "8 x 10 feet"), 0.3),
    "screen size": (("5.4 inch", "5.8 inch", "6.1 inch", "6.5 inch", "6.7 inch"), 0.0),
    "length": (("3 ft", "6 ft", "10 ft", "15 ft", "25 ft", "50 ft"), 0.15),
    "storage": (("32 gb", "64 gb", "128 gb", "256 gb", "512 gb"), 0.25),
    "count": (("single", "pair", "trio", "six pack", "dozen"), 0.5),
    "weight": (("8 oz", "12 oz", "1 pound", "32 oz", "5 lb"), 0.4),
    "volume": (("30 ml", "100 ml", "250 ml", "1 liter", "2 gallons"), 0.3),
    "flavor": (
        (
            "vanilla", "dark chocolate", "sea salt", "mango", "peach", "honey", "cinnamon", "lemon", "raspberry", "hazelnut",
            "mint", "ginger", "coconut", "smoky barbecue",
        ),
        0.0,
    ),
    "scent": (("unscented", "eucalyptus", "rose", "sandalwood", "citrus", "jasmine", "cedar", "fresh linen", "lilac"), 0.0),
    "finish": (("brushed nickel", "matte bronze", "polished chrome", "antique brass", "natural walnut", "pale oak"), 0.08),
    "shade": (("porcelain", "fair", "almond", "caramel", "chestnut", "espresso", "mocha", "sandstone"), 0.0),
    "style": (("classic", "modern", "rustic", "coastal", "industrial", "floral"), 0.0),
    "power": (("20 watt", "45 watt", "96 watt", "130 watt"), 0.2),
}  # fmt: skip
MOST_VALUES = 7  # of one option in one product

# Attributes that any product may have, the most common first.
EVERYWHERE = (
    "long lasting", "high quality", "easy to clean", "lightweight", "durable", "eco friendly", "gift ready", "made by hand",
)  # fmt: skip


def _kinds(table: str) -> tuple[Kind, ...]:
    """One kind per line: noun | shelf | lowest-highest dollars | options | own attributes."""
    kinds = []
    for line in table.strip().splitlines():
        noun, shelf, dollars, options, attributes = (part.strip() for part in line.split("|"))
        low, high = map(int, dollars.split("-"))
        kinds.append(Kind(noun, shelf, (low, high), _list(options), _list(attributes)))
    return tuple(kinds)


def _list(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _department(first: str, second: str, attributes: str, table: str) -> Department:
    return Department((first, second), _list(attributes), _kinds(table))


DEPARTMENTS: tuple[Department, ...] = (
    _department(
        "Clothing",
        "Women",
        "machine washable, slim fit, long sleeve, quick drying, cotton blend, tummy control, button closure, "
        "elastic waistband, loose fit, hand wash only, polyester lined, teen friendly",
        """
        wrap dress        | Dresses        | 22-70  | color, size      | v neck, knee length, ruffled hem
        cardigan          | Sweaters       | 24-65  | color, size      | open front, chunky knit, batwing
        yoga leggings     | Activewear     | 18-48  | color, size      | high waisted, squat proof, side pocket
        blouse            | Tops           | 16-45  | color, size      | puff shoulder, stand collar, see through
        rain jacket       | Coats          | 35-110 | color, size      | storm hood, sealed seam, packable
        """,
    ),
    _department(
        "Clothing",
        "Men",
        "wrinkle free, regular fit, short sleeve, moisture wicking, stretch waist, zipper closure, classic "
        "collar, tag free, relaxed cut, winter warm, drawstring, big and tall",
        """
        polo shirt        | Shirts         | 18-50  | color, size      | contrast tipping, ribbed cuff, chest pocket
        cargo pants       | Pants          | 28-75  | color, size      | ripstop, reinforced knee, eight pocket
        hoodie            | Sweatshirts    | 25-68  | color, size      | fleece lined, kangaroo pocket, full zip
        swim trunks       | Swimwear       | 16-40  | color, size      | mesh liner, chlorine proof, knee grazing
        dress shirt       | Formal         | 24-70  | color, size      | french cuff, spread collar, non iron
        """,
    ),
    _department(
        "Shoes",
        "Footwear",
        "rubber sole, non slip, arch support, memory foam, leather lined, steel shank, ankle strap, ethylene "
        "vinyl, wide toe, shock absorbing, open toe, lace up",
        """
        running shoes     | Athletic       | 45-140 | shoe size, color | carbon plate, reflective heel, cushioned midsole
        hiking boots      | Outdoor        | 60-170 | shoe size, color | waterproof membrane, lug sole, padded tongue
        sandals           | Summer         | 20-60  | shoe size, color | cork footbed, espadrille, hook and loop
        slippers          | House          | 14-40  | shoe size, color | faux fur, plush collar, indoor outdoor
        loafers           | Dress          | 40-120 | shoe size, color | penny strap, tassel, hand stitched
        """,
    ),
    _department(
        "Home",
        "Bedding",
        "hypoallergenic, breathable, fade resistant, soft touch, double stitched, cooling, oeko certified, pill "
        "proof, envelope closure, season spanning, deep pocket, bamboo derived",
        """
        sheet set         | Sheets         | 25-95  | bed size, color  | sateen weave, percale, brushed microfiber
        quilt cover       | Duvets         | 30-110 | bed size, color  | corner ties, hidden zipper, waffle weave
        mattress topper   | Toppers        | 50-190 | bed size         | gel infused, egg crate, zoned support
        throw blanket     | Blankets       | 18-60  | color, style     | tasselled, sherpa backed, weighted
        pillow            | Pillows        | 15-60  | count, style     | buckwheat filled, side sleeper, shredded foam
        """,
    ),
    _department(
        "Home",
        "Decor",
        "ready to hang, energy efficient, noise reducing, spot clean, uv resistant, farmhouse, living room, mid "
        "century, glass shade, solid wood, low pile, assembly free",
        """
        blackout curtains | Window         | 18-70  | panel size, color | grommet top, thermal insulated, rod pocket
        area rug          | Rugs           | 30-160 | rug size, color   | jute braided, latex backed, medallion
        table lamp        | Lighting       | 25-120 | finish, style     | touch dimmable, linen drum, rotary switch
        wall mirror       | Mirrors        | 35-150 | finish, style     | arched frame, bevelled edge, shatter proof
        wall clock        | Clocks         | 15-70  | finish, color     | silent sweep, radio controlled, large numeral
        """,
    ),
    _department(
        "Home",
        "Kitchen",
        "dishwasher safe, bpa free, stainless steel, non stick, heat resistant, space saving, oven safe, lead "
        "free, one hand, leak proof, odor free, induction ready",
        """
        frying pan        | Cookware       | 20-90  | color, style      | pour spout, hammered, stay cool handle
        water bottle      | Drinkware      | 12-40  | color, volume     | straw lid, vacuum insulated, fruit infuser
        knife set         | Cutlery        | 30-160 | style, finish     | full tang, magnetic block, serrated
        storage canisters | Storage        | 18-60  | count, color      | airtight, stackable, chalk labelled
        electric kettle   | Appliances     | 25-95  | color, finish     | gooseneck, auto shut off, temperature hold
        """,
    ),
    _department(
        "Electronics",
        "Audio",
        "noise cancelling, hands free, fast charging, bluetooth five, stereo sound, sweat proof, low latency, usb"
        " c, deep bass, voice assistant, high definition, dual microphone",
        """
        wireless earbuds  | Headphones     | 25-150 | color, style      | ear hook, transparency mode, wireless case
        headphones        | Headphones     | 35-220 | color             | foldable band, planar driver, velour cushion
        portable speaker  | Speakers       | 28-160 | color, power      | floating, party light, true stereo pairing
        sound bar         | Home audio     | 60-260 | power             | wall mountable, wireless subwoofer, dialogue boost
        turntable         | Home audio     | 70-260 | finish, color     | belt drive, adjustable counterweight, built in preamp
        """,
    ),
    _department(
        "Electronics",
        "Accessories",
        "plug and play, gold plated, tangle free, high speed, wireless charging, shock proof, scratch resistant, "
        "case friendly, tempered glass, braided nylon, over voltage safe, travel size",
        """
        phone case        | Phones         | 10-45  | screen size, color | kickstand, crystal clear, card slot
        charging cable    | Cables         | 8-30   | length, color      | right angle, six amp, magnetic tip
        usb drive         | Storage        | 10-90  | storage, color     | password locked, retractable, metal body
        wall charger      | Power          | 14-60  | power, color       | gallium nitride, four port, fold flat prong
        screen protector  | Phones         | 8-28   | screen size, count | privacy tint, anti glare, self healing
        """,
    ),
    _department(
        "Electronics",
        "Cameras",
        "night vision, motion detecting, wide angle, optical zoom, image stabilised, weather sealed, quick "
        "release, carrying case, remote control, two way talk, solar powered, time lapse",
        """
        security camera   | Surveillance   | 30-180 | count, color      | pan tilt, siren equipped, local storage
        action camera     | Video          | 60-260 | storage, color    | helmet mountable, dual screen, slow motion
        camera tripod     | Support        | 22-140 | color, style      | carbon fiber, ball head, flip lock
        ring light        | Studio         | 20-90  | power, style      | colour tunable, phone holder, tabletop
        binoculars        | Optics         | 30-190 | color, style      | roof prism, fog proof, twist up eyecup
        """,
    ),
    _department(
        "Beauty",
        "Skin",
        "cruelty free, fragrance free, dermatologist tested, oil free, paraben free, for sensitive skin, "
        "hyaluronic acid, fine line, vitamin c, alcohol free, tea tree, plant based",
        """
        face moisturizer  | Face           | 12-60  | volume, scent     | overnight repair, ceramide rich, tinted
        sunscreen lotion  | Sun            | 10-35  | volume, scent     | reef safe, mineral, sport grade
        body scrub        | Body           | 10-32  | scent, weight     | coffee ground, sugar, dead sea
        face serum        | Face           | 14-70  | volume, count     | retinol, niacinamide, peptide
        lip balm          | Lips           | 6-20   | count, flavor     | beeswax, shea butter, plumping
        """,
    ),
    _department(
        "Beauty",
        "Hair and makeup",
        "sulfate free, water proof, heat protecting, nail salon, easy apply, color safe, damaged hair, keratin, "
        "argan, high pigment, hair growth, smudge proof",
        """
        shampoo           | Hair           | 9-38   | volume, scent     | anti dandruff, purple toning, biotin
        liquid foundation | Makeup         | 12-48  | shade, volume     | full coverage, dewy, buildable
        hair dryer        | Tools          | 28-160 | color, power      | ionic, diffuser equipped, cool shot
        makeup brushes    | Tools          | 10-45  | count, color      | synthetic bristle, tapered, roll pouch
        hair clips        | Accessories    | 6-20   | count, color      | claw shaped, matte acrylic, thick hair
        """,
    ),
    _department(
        "Grocery",
        "Snacks and drinks",
        "gluten free, sugar free, non gmo, low sodium, high protein, usda organic, keto, dairy free, artificial "
        "free, ready to eat, kosher, individually wrapped",
        """
        granola           | Breakfast      | 7-26   | flavor, weight    | ancient grain, cluster, low glycemic
        protein bars      | Snacks         | 14-40  | flavor, count     | collagen, whey isolate, crisp
        ground coffee     | Drinks         | 10-42  | flavor, weight    | single origin, swiss decaf, french roast
        herbal tea        | Drinks         | 7-28   | flavor, count     | caffeine free, loose leaf, pyramid bag
        trail mix         | Snacks         | 8-32   | weight, flavor    | unsalted, dried berry, sprouted nut
        """,
    ),
    _department(
        "Sports",
        "Fitness and outdoor",
        "anti slip, water resistant, quick setup, rip proof, adjustable strap, compact folding, latex free, extra"
        " thick, full body, heavy duty, padded shoulder, rust proof",
        """
        yoga mat          | Fitness        | 16-80  | color, style      | alignment marked, natural cork, carry strap
        resistance bands  | Fitness        | 10-45  | count, color      | door anchor, fabric, layered
        camping tent      | Camping        | 60-240 | color, style      | pop up, blackout fly, two vestibule
        hiking backpack   | Camping        | 35-170 | color, size       | hydration ready, internal frame, rain cover
        jump rope         | Fitness        | 8-30   | color, length     | ball bearing, steel wire, digital counter
        """,
    ),
    _department(
        "Toys",
        "Games and play",
        "battery free, educational, non toxic, age appropriate, screen free, travel friendly, rounded edge, award"
        " winning, easy to store, sensory, group play, quick to learn",
        """
        building blocks   | Construction   | 14-90  | count, style      | magnetic, wooden, glow in dark
        board game        | Games          | 16-70  | style             | cooperative, two player, expandable
        plush toy         | Soft toys      | 9-45   | color, size       | weighted belly, surface washable, talking
        jigsaw puzzle     | Puzzles        | 10-36  | style, count      | thousand piece, panoramic, foil accented
        art set           | Creative       | 12-60  | color, count      | washable ink, watercolour, portfolio case
        """,
    ),
    _department(
        "Garden",
        "Patio and pets",
        "all weather, rot proof, chew proof, self watering, pressure treated, low maintenance, drain hole, tool "
        "free, anti rust, machine dryable, elevated, veterinarian approved",
        """
        plant pot         | Planters       | 10-60  | color, count      | terracotta, hanging, glazed
        garden hose       | Watering       | 20-90  | length, color     | expandable core, kink free, brass fitted
        dog bed           | Dogs           | 24-120 | size, color       | orthopedic, bolster, donut shaped
        cat tree          | Cats           | 35-180 | color, style      | sisal wrapped, hammock, corner fit
        patio cushion     | Furniture      | 18-75  | color, count      | tufted, piped edge, tie on
        """,
    ),
    _department(
        "Office",
        "Desk and school",
        "height adjustable, acid free, refillable, quick dry ink, ergonomic, recycled paper, cable managed, "
        "scratch proof, lumbar cushioned, smooth writing, spiral bound, tip resistant",
        """
        desk chair        | Furniture      | 80-290 | color, style      | flip up arm, mesh back, rocking
        notebook          | Paper          | 6-28   | color, count      | dot grid, lay flat, faux leather
        gel pens          | Writing        | 6-26   | color, count      | needle tip, erasable, soft grip
        desk organizer    | Storage        | 12-55  | color, finish     | bamboo, rotating, drawer fitted
        monitor stand     | Furniture      | 22-90  | finish, color     | dual arm, swivel, gas spring
        """,
    ),
)
