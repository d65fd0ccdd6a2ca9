"""A probabilistic grammar of image captions whose density is known exactly.

The grammar writes sentences like `a small brown dog is sleeping on the wooden bench .` and gives the exact
log-probability of any sentence. It is an oracle for text GANs that a person can read: the true density is known, as
for a random LSTM, and right and wrong can be seen at a glance.

The grammar is data, in four tables that are meant to be read and extended:

- `WORDS`: lists of words of one kind, the most frequent first;
- `NOUNS`: lists of `singular/plural` pairs; the list `DOG` defines the nonterminals `DOG` and `DOGS`;
- `ADJECTIVES`: the word lists that may precede each noun; the noun phrases are built from this table;
- `PHRASES`: the sentence patterns.

Upper-case names are nonterminals and all others words; `a/an` takes the form that the next word requires.
"""

from collections.abc import Callable, Sequence

from .grammar import ProbabilisticGrammar, Rules, is_nonterminal, reachable


# Most frequent first: the word of rank r (from 0) has a weight of 1 / (r + 2).
WORDS: dict[str, str] = {
    # determiners and adjectives
    "NUMBER": "two three several some four many five",
    "SIZE": "small large big tiny huge",
    "COLOR": "red blue white black green yellow brown orange purple pink gray",
    "PAINT": "red white blue green yellow black silver orange",
    "FUR": "brown black white gray golden spotted",
    "FEATHER": "white black gray colorful",
    "MATERIAL": "wooden metal plastic",
    "KID_LOOK": "young little happy small cute smiling excited",
    "ADULT_LOOK": "young old tall smiling elderly happy tired",
    "WORKER_LOOK": "young friendly busy smiling experienced",
    "PET_LOOK": "small cute fluffy little sleepy playful big young adorable",
    "BEAST_LOOK": "large young adult huge wild",
    "BIRD_LOOK": "small large beautiful little",
    "MACHINE_LOOK": "old small large shiny new modern",
    "ROOM_LOOK": "small bright cozy large dark empty",
    "TOWN_LOOK": "busy quiet crowded narrow empty sunny",
    "NATURE_LOOK": "green sunny quiet large beautiful open",
    "WATER_LOOK": "calm small blue wide icy",
    "BUILDING_LOOK": "old tall large small brick abandoned",
    "TASTE": "fresh delicious homemade large",
    "FRUIT_LOOK": "ripe fresh sweet",
    "SOFT_LOOK": "soft old comfortable large",
    # words without an article
    "SPORT": "football tennis baseball basketball",
    "GAME": "chess cards",
    "INSTRUMENT": "guitar piano violin drums",
    "DRINK": "coffee tea water juice milk",
    "DISH": "rice pasta salad noodles",
    "MEAL": "breakfast lunch dinner",
    "DAYTIME": "morning afternoon evening",
    "SEASON": "sunny cloudy cold rainy warm windy snowy",
    "MANNER": "slowly quietly happily carefully",
    "CALM": "peacefully quietly happily",
    "HERD": "cows sheep goats horses",
    "FLOCK": "birds pigeons geese",
    # verbs
    "POSTURE": "sitting standing waiting resting posing",
    "STROLL": "walking running strolling jogging",
    "SNOOZE": "sleeping lying sitting resting napping",
    "PET_MOVE": "running playing walking jumping",
    "GRAZE": "grazing standing resting walking",
    "ROAM": "walking standing resting playing",
    "REST": "standing resting lying sleeping",
    "PERCH": "sitting perching resting singing",
    "GAZE": "looking smiling staring pointing",
    "CARRY": "holding carrying",
    "HANG": "hanging displayed mounted",
    "SIT_STILL": "standing sitting",
    "COOKING": "preparing serving making",
}

# Most frequent first, as `singular/plural`.
NOUNS: dict[str, str] = {
    # people
    "KID": "boy/boys girl/girls child/children kid/kids toddler/toddlers",
    "ADULT": "man/men woman/women person/people lady/ladies",
    "WORKER": "student/students tourist/tourists policeman/policemen worker/workers nurse/nurses ",
    "COOK": "chef/chefs cook/cooks baker/bakers waiter/waiters",
    "MUSICIAN": "musician/musicians singer/singers",
    "FARMER": "farmer/farmers",
    "ATHLETE": "player/players athlete/athletes teenager/teenagers",
    # animals
    "PET": "dog/dogs cat/cats puppy/puppies kitten/kittens rabbit/rabbits",
    "GRAZER": "horse/horses cow/cows goat/goats lamb/lambs pony/ponies",
    "MOUNT": "horse/horses pony/ponies",
    "BEAST": "elephant/elephants giraffe/giraffes zebra/zebras bear/bears lion/lions monkey/monkeys",
    "BIRD": "bird/birds pigeon/pigeons owl/owls eagle/eagles",
    "SWIMMER": "duck/ducks swan/swans goose/geese",
    # vehicles
    "CAR": "car/cars bus/buses truck/trucks taxi/taxis van/vans",
    "TRAIN": "train/trains tram/trams",
    "BOAT": "boat/boats sailboat/sailboats ship/ships ferry/ferries",
    "PLANE": "airplane/airplanes helicopter/helicopters",
    "RIDE": "bicycle/bicycles bike/bikes skateboard/skateboards",
    # things
    "TOY": "ball/balls kite/kites balloon/balloons frisbee/frisbees",
    "HANDHELD": "umbrella/umbrellas bag/bags backpack/backpacks",
    "DEVICE": "laptop/laptops phone/phones camera/cameras",
    "READING": "book/books newspaper/newspapers",
    "GARMENT": "shirt/shirts jacket/jackets hat/hats dress/dresses coat/coats",
    "ORNAMENT": "vase/vases lamp/lamps bottle/bottles clock/clocks",
    "PICTURE": "painting/paintings mirror/mirrors",
    # food
    "SNACK": "sandwich/sandwiches pizza/pizzas cake/cakes burger/burgers pie/pies cookie/cookies",
    "FRUIT": "apple/apples banana/bananas pear/pears",
    # places
    "TABLE": "table/tables desk/desks counter/counters",
    "SEAT": "bench/benches chair/chairs",
    "SOFA": "sofa/sofas bed/beds couch/couches",
    "ROOM": "kitchen/kitchens bedroom/bedrooms office/offices classroom/classrooms cafe/cafes",
    "STREET": "street/streets road/roads sidewalk/sidewalks",
    "AREA": "park/parks field/fields garden/gardens forest/forests",
    "WATER": "lake/lakes river/rivers pond/ponds canal/canals",
    "BUILDING": "house/houses store/stores church/churches hotel/hotels restaurant/restaurants school/schools",
    "TREE": "tree/trees oak/oaks",
    "PERCH_SPOT": "branch/branches fence/fences roof/roofs",
}

# The word lists that may precede a noun, in this order: none, one of them, or both.
ADJECTIVES: dict[str, tuple[str, ...]] = {
    "KID": ("KID_LOOK",),
    "ADULT": ("ADULT_LOOK",),
    "WORKER": ("WORKER_LOOK",),
    "COOK": ("WORKER_LOOK",),
    "MUSICIAN": ("WORKER_LOOK",),
    "FARMER": ("ADULT_LOOK",),
    "ATHLETE": ("WORKER_LOOK",),
    "PET": ("PET_LOOK", "FUR"),
    "GRAZER": ("SIZE", "FUR"),
    "MOUNT": ("FUR",),
    "BEAST": ("BEAST_LOOK",),
    "BIRD": ("BIRD_LOOK", "FEATHER"),
    "SWIMMER": ("BIRD_LOOK",),
    "CAR": ("MACHINE_LOOK", "PAINT"),
    "TRAIN": ("MACHINE_LOOK", "PAINT"),
    "BOAT": ("MACHINE_LOOK", "PAINT"),
    "PLANE": ("MACHINE_LOOK", "PAINT"),
    "RIDE": ("PAINT",),
    "TOY": ("SIZE", "COLOR"),
    "HANDHELD": ("SIZE", "COLOR"),
    "DEVICE": (),
    "READING": (),
    "GARMENT": ("COLOR",),
    "ORNAMENT": ("SIZE", "COLOR"),
    "PICTURE": ("SIZE",),
    "SNACK": ("TASTE",),
    "FRUIT": ("FRUIT_LOOK",),
    "TABLE": ("SIZE", "MATERIAL"),
    "SEAT": ("MATERIAL",),
    "SOFA": ("SOFT_LOOK", "COLOR"),
    "ROOM": ("ROOM_LOOK",),
    "STREET": ("TOWN_LOOK",),
    "AREA": ("NATURE_LOOK",),
    "WATER": ("WATER_LOOK",),
    "BUILDING": ("BUILDING_LOOK",),
    "TREE": ("SIZE",),
    "PERCH_SPOT": (),
}

# A noun list DOG brings the noun phrases A_DOG (a small dog), THAT_DOG (a or the small dog), SOME_DOGS (two brown
# dogs), and for subjects ONE_DOG (also with this and one) and MANY_DOGS (also with the, with these, and bare).
PHRASES: dict[str, list[tuple[float, str]]] = {
    # ---- kinds of captions
    "CAPTION": [
        (40, "PEOPLE_CLAUSE ."),
        (20, "ANIMAL_CLAUSE ."),
        (12, "VEHICLE_CLAUSE ."),
        (8, "THING_CLAUSE ."),
        (9, "THERE_CLAUSE ."),
        (6, "FRAGMENT ."),
        (5, "WHILE_CLAUSE ."),
    ],
    # ---- people
    "PEOPLE_CLAUSE": [
        (20, "ONE_PERSON is DOING_ONE"),
        (8, "MANY_PEOPLE are DOING_MANY"),
        (6, "ONE_KID is KID_DOING OUTSIDE"),
        (3, "MANY_KIDS are KIDS_DOING OUTSIDE"),
        (4, "PAIR are DOING_MANY"),
        (3, "a group of CROWD is DOING_MANY"),
        (6, "DRESSED_PERSON is DOING_SHORT"),
        (3, "ONE_COOK is COOKING COOKED COOK_PLACE"),
        (1, "MANY_COOKS are COOKING COOKED COOK_PLACE"),
        (2, "ONE_MUSICIAN is playing the INSTRUMENT STAGE"),
        (2, "ONE_FARMER is FARMING"),
        (1, "MANY_FARMERS are FARMING"),
        (2, "ONE_ATHLETE is playing SPORT FIELD_PLACE"),
        (2, "MANY_ATHLETES are playing SPORT FIELD_PLACE"),
    ],
    "ONE_PERSON": [(6, "ONE_ADULT"), (3, "ONE_WORKER")],
    "MANY_PEOPLE": [(6, "MANY_ADULTS"), (3, "MANY_WORKERS")],
    "PAIR": [
        (5, "a man and PARTNER"),
        (4, "a woman and OWN_KID"),
        (2, "a mother and her FAMILY"),
        (2, "a father and his FAMILY"),
    ],
    "PARTNER": [(6, "a woman"), (2, "a young lady"), (1, "an elderly lady")],
    "OWN_KID": [(4, "a child"), (3, "a girl"), (3, "a boy"), (1, "a little girl"), (1, "a little boy")],
    "FAMILY": [(3, "son"), (3, "daughter"), (2, "children")],
    "CROWD": [(5, "KIDS"), (5, "ADULTS"), (3, "WORKERS"), (2, "friends")],
    "DRESSED_PERSON": [(5, "ONE_ADULT CLOTHED"), (3, "ONE_KID CLOTHED")],
    "CLOTHED": [(3, "in A_GARMENT"), (2, "wearing A_GARMENT"), (1, "with A_HANDHELD")],
    "DOING_SHORT": [
        (3, "POSTURE PLACE"),
        (3, "STROLL ALONG_STREET"),
        (2, "GAZE at THAT_PET"),
        (2, "eating A_SNACK"),
        (1, "looking out of the window"),
    ],
    "DOING_ONE": [
        (6, "DOING_BOTH WHEN"),
        (4, "riding A_RIDE ALONG_STREET WHEN"),
        (3, "riding A_MOUNT ACROSS_LAND"),
        (4, "CARRY A_HANDHELD PLACE"),
        (3, "reading A_READING PLACE"),
        (2, "working on a laptop ROOM_PLACE"),
        (2, "talking on the phone PLACE"),
        (2, "walking a dog ALONG_STREET"),
        (2, "taking a picture of SIGHT"),
        (1, "fixing A_RIDE BY_BUILDING"),
        (1, "painting a picture of SIGHT"),
    ],
    "DOING_MANY": [
        (6, "DOING_BOTH WHEN"),
        (4, "riding RIDES ALONG_STREET WHEN"),
        (3, "riding MOUNTS ACROSS_LAND"),
        (2, "playing GAME GROUP_PLACE"),
        (2, "talking to each other GROUP_PLACE"),
        (2, "taking pictures of SIGHT"),
        (1, "holding hands GROUP_PLACE"),
        (1, "dancing together OUTSIDE"),
    ],
    "DOING_BOTH": [
        (6, "POSTURE PLACE"),
        (5, "STROLL MANNERED ALONG_STREET"),
        (3, "STROLL ACROSS_LAND"),
        (2, "drinking DRINK TABLE_PLACE"),
        (2, "eating MEAL TABLE_PLACE"),
        (2, "waiting for a SERVICE"),
        (2, "feeding SOME_BIRDS OUTSIDE"),
        (2, "GAZE at THAT_PET"),
        (1, "swimming in THAT_WATER"),
        (1, "fishing by THAT_WATER"),
    ],
    "SERVICE": [(4, "bus"), (3, "taxi"), (3, "train"), (1, "ferry")],
    "MANNERED": [(5, ""), (1, "MANNER")],
    "CALMLY": [(5, ""), (1, "CALM")],
    "KID_DOING": [
        (5, "playing with A_TOY"),
        (2, "flying a/an COLOR kite"),
        (2, "eating A_SNACK"),
        (2, "climbing THAT_TREE"),
        (1, "drawing a picture"),
        (2, "chasing A_PET"),
    ],
    "KIDS_DOING": [
        (5, "playing with A_TOY"),
        (3, "playing SPORT"),
        (2, "flying kites"),
        (1, "building a sandcastle"),
        (1, "blowing bubbles"),
        (2, "chasing A_PET"),
    ],
    "COOKED": [
        (4, "A_SNACK"),
        (2, "a bowl of BOWL_DISH"),
        (2, "a plate of DISH"),
        (3, "MEAL"),
    ],
    "BOWL_DISH": [(2, "DISH"), (1, "soup"), (1, "fruit")],
    "COOK_PLACE": [(3, "in THAT_ROOM_TO_COOK"), (2, "at the market"), (1, "for SOME_GUESTS")],
    "THAT_ROOM_TO_COOK": [(4, "the kitchen"), (2, "a busy kitchen"), (2, "a restaurant"), (1, "an open kitchen")],
    "SOME_GUESTS": [(3, "SOME_ADULTS"), (2, "SOME_KIDS"), (1, "the guests")],
    "STAGE": [(3, "on a stage"), (3, "OUTSIDE_TOWN"), (1, "for SOME_ADULTS")],
    "FARMING": [
        (4, "feeding SOME_GRAZERS OUTSIDE_LAND"),
        (3, "picking FRUITS OUTSIDE_LAND"),
        (2, "watering the flowers OUTSIDE_LAND"),
        (1, "planting SOME_TREES"),
    ],
    "FIELD_PLACE": [(3, ""), (3, "on a grassy field"), (2, "on an outdoor court"), (2, "in front of a crowd")],
    "SIGHT": [(3, "THAT_BUILDING"), (2, "THAT_BEAST"), (2, "SOME_BIRDS"), (2, "the mountains"), (1, "the sunset")],
    # ---- animals
    "ANIMAL_CLAUSE": [
        (7, "ONE_PET is PET_DOING"),
        (3, "MANY_PETS are PET_DOING"),
        (3, "ONE_GRAZER is GRAZE OUTSIDE_LAND WHEN"),
        (3, "MANY_GRAZERS are GRAZE OUTSIDE_LAND WHEN"),
        (1, "a herd of HERD is GRAZE OUTSIDE_LAND"),
        (2, "ONE_BEAST is BEAST_DOING"),
        (2, "MANY_BEASTS are BEAST_DOING"),
        (3, "ONE_BIRD is BIRD_DOING"),
        (2, "MANY_BIRDS are BIRD_DOING"),
        (1, "a flock of FLOCK is BIRD_DOING"),
        (2, "ONE_SWIMMER is swimming MANNERED ON_WATER"),
        (2, "MANY_SWIMMERS are swimming MANNERED ON_WATER"),
    ],
    "PET_DOING": [
        (6, "SNOOZE CALMLY ON_SOFA"),
        (3, "SNOOZE UNDER_SOMETHING"),
        (4, "PET_MOVE OUTSIDE_LAND WHEN"),
        (2, "playing with A_TOY"),
        (1, "chasing A_BIRD OUTSIDE_LAND"),
        (1, "drinking PET_DRINK from a bowl"),
        (2, "looking out of the window"),
    ],
    "PET_DRINK": [(3, "water"), (1, "milk")],
    "BEAST_DOING": [
        (4, "ROAM near THAT_WATER"),
        (3, "REST under THAT_TREE"),
        (3, "walking through the tall grass"),
        (1, "eating leaves from THAT_TREE"),
        (1, "standing behind a fence at the zoo"),
    ],
    "BIRD_DOING": [
        (5, "PERCH on THAT_PERCH_SPOT"),
        (3, "flying over THAT_WATER WHEN"),
        (2, "flying over THAT_BUILDING"),
        (1, "building a nest in THAT_TREE"),
    ],
    # ---- vehicles
    "VEHICLE_CLAUSE": [
        (6, "ONE_CAR is CAR_DOING"),
        (4, "MANY_CARS are CAR_DOING"),
        (3, "ONE_TRAIN is TRAIN_DOING WHEN"),
        (1, "MANY_TRAINS are TRAIN_DOING"),
        (2, "ONE_BOAT is BOAT_DOING WHEN"),
        (2, "MANY_BOATS are BOAT_DOING"),
        (2, "ONE_PLANE is PLANE_DOING"),
        (1, "MANY_PLANES are PLANE_DOING"),
        (1, "MANY_RIDES are parked BY_BUILDING"),
        (1, "ONE_RIDE is leaning against a wall"),
    ],
    "CAR_DOING": [
        (5, "parked ON_STREET WHEN"),
        (4, "parked BY_BUILDING"),
        (3, "driving down THAT_STREET WHEN"),
        (1, "driving slowly past THAT_BUILDING"),
        (2, "stopped at a traffic light"),
        (1, "stuck in traffic"),
    ],
    "TRAIN_DOING": [
        (3, "arriving at the station"),
        (2, "leaving the station"),
        (2, "crossing a bridge"),
        (2, "traveling along the tracks"),
    ],
    "BOAT_DOING": [
        (4, "floating ON_WATER"),
        (2, "docked at the harbor"),
        (2, "sailing ON_WATER"),
        (1, "tied to a dock"),
    ],
    "PLANE_DOING": [
        (3, "flying above the clouds"),
        (3, "flying through a clear blue sky"),
        (2, "landing on the runway"),
        (2, "flying over THAT_BUILDING"),
        (1, "parked at the airport"),
    ],
    # ---- things and food
    "THING_CLAUSE": [
        (4, "ONE_ORNAMENT is SIT_STILL ON_TABLE"),
        (2, "MANY_ORNAMENTS are SIT_STILL ON_TABLE"),
        (3, "ONE_PICTURE is HANG ON_WALL"),
        (2, "MANY_PICTURES are HANG ON_WALL"),
        (3, "ONE_SNACK is served on a PLATE"),
        (2, "MANY_SNACKS are served on a PLATE"),
        (2, "MANY_FRUITS are lying ON_TABLE"),
        (4, "SERVING is sitting ON_TABLE"),
        (1, "A_DEVICE and A_READING are lying ON_TABLE"),
    ],
    "PLATE": [(4, "PLATE_COLOR plate"), (2, "wooden board"), (1, "paper plate")],
    "PLATE_COLOR": [(4, "white"), (2, "blue"), (1, "black")],
    "SERVING": [
        (4, "a bowl of BOWL_DISH"),
        (3, "a plate of SNACKS"),
        (3, "a basket of FRUITS"),
        (4, "a cup of HOT_DRINK"),
        (2, "a glass of COLD_DRINK"),
        (2, "a vase of flowers"),
    ],
    "HOT_DRINK": [(5, "coffee"), (3, "tea"), (1, "chocolate")],
    "COLD_DRINK": [(4, "water"), (3, "juice"), (2, "milk"), (1, "lemonade")],
    "ON_WALL": [(3, "on a PLATE_COLOR wall"), (2, "on the wall"), (2, "above FIXTURE")],
    "FIXTURE": [(3, "the sofa"), (2, "the bed"), (2, "the fireplace"), (1, "the desk")],
    # ---- there is, fragments, two clauses
    "THERE_CLAUSE": [
        (3, "there is A_PET ON_SOFA"),
        (2, "there are SOME_PETS ON_SOFA"),
        (2, "there is A_CAR BY_BUILDING"),
        (2, "there are SOME_CARS ON_STREET"),
        (2, "there is A_SNACK on a PLATE"),
        (2, "there are SOME_ORNAMENTS ON_TABLE"),
        (2, "there is A_BUILDING near THAT_WATER"),
        (2, "there are SOME_KIDS OUTSIDE WHEN"),
        (2, "there are SOME_BOATS on THAT_WATER"),
        (1, "there is SERVING ON_TABLE"),
    ],
    "FRAGMENT": [
        (4, "A_ADULT CLOTHED PLACE"),
        (3, "A_PET with A_TOY in its mouth"),
        (3, "A_ROOM with A_TABLE and SOME_SEATS"),
        (3, "a close up of A_PET"),
        (2, "a close up of SERVING"),
        (2, "a view of VIEW from VIEWPOINT"),
        (2, "SOME_BEASTS near THAT_WATER"),
    ],
    "VIEW": [(3, "the city"), (3, "the mountains"), (2, "the harbor"), (2, "A_BUILDING")],
    "VIEWPOINT": [(3, "a bridge"), (2, "a hill"), (2, "a window"), (1, "a boat")],
    "WHILE_CLAUSE": [
        (5, "ONE_ADULT is WHILE_DOING while ONE_PET is RESTING"),
        (3, "ONE_ADULT is WHILE_DOING while MANY_KIDS are KIDS_PLAYING"),
        (2, "MANY_ADULTS are talking while ONE_KID is RESTING"),
        (2, "ONE_WORKER is WHILE_DOING while SOME_ADULTS are watching"),
    ],
    "WHILE_DOING": [
        (3, "reading A_READING"),
        (3, "playing the INSTRUMENT"),
        (2, "cooking MEAL"),
        (2, "drinking DRINK"),
        (2, "eating A_SNACK"),
        (2, "talking on the phone"),
    ],
    "RESTING": [(4, "watching"), (3, "sleeping ON_SOFA"), (2, "sitting by the window"), (2, "waiting")],
    "KIDS_PLAYING": [(3, "playing OUTSIDE_TOWN"), (3, "playing with A_TOY"), (2, "sleeping"), (1, "listening")],
    # ---- where and when
    "WHEN": [
        (16, ""),
        (2, "in the DAYTIME"),
        (2, "on a SEASON day"),
        (1, "at night"),
        (1, "at sunset"),
        (1, "in the rain"),
        (1, "in the snow"),
    ],
    "OUTSIDE": [(4, ""), (4, "OUTSIDE_LAND"), (3, "OUTSIDE_TOWN")],
    "OUTSIDE_LAND": [
        (5, "in THAT_AREA"),
        (3, "near THAT_WATER"),
        (2, "under THAT_TREE"),
        (2, "on the beach"),
        (1, "on a hill"),
    ],
    "OUTSIDE_TOWN": [(4, "ON_STREET"), (3, "BY_BUILDING"), (2, "at the market"), (1, "in the town square")],
    "ON_STREET": [(3, "on THAT_STREET"), (2, "along THAT_STREET")],
    "ALONG_STREET": [
        (4, "down THAT_STREET"),
        (2, "across THAT_STREET"),
        (2, "along the beach"),
        (1, "past THAT_BUILDING"),
    ],
    "ACROSS_LAND": [(4, "through THAT_AREA"), (2, "across THAT_AREA"), (2, "along THAT_WATER")],
    "BY_BUILDING": [(4, "in front of THAT_BUILDING"), (3, "next to THAT_BUILDING"), (2, "outside THAT_BUILDING")],
    "ON_WATER": [(4, "on THAT_WATER"), (2, "across THAT_WATER")],
    "ON_SOFA": [(6, "on THAT_SOFA"), (2, "on THAT_SEAT"), (1, "in front of the fireplace")],
    "ON_TABLE": [(6, "on THAT_TABLE"), (2, "next to A_DEVICE"), (1, "by the window")],
    "TABLE_PLACE": [(3, "at THAT_TABLE"), (2, "ROOM_PLACE"), (2, "OUTSIDE_TOWN")],
    "ROOM_PLACE": [(6, "in THAT_ROOM"), (2, "in the living room"), (1, "at home")],
    "UNDER_SOMETHING": [
        (3, "under THAT_TABLE"),
        (2, "under THAT_TREE"),
        (2, "under THAT_CAR"),
        (1, "behind the curtain"),
    ],
    "PLACE": [(5, "GROUP_PLACE"), (1, "on THAT_SEAT")],
    "GROUP_PLACE": [
        (4, "OUTSIDE_LAND"),
        (4, "OUTSIDE_TOWN"),
        (3, "ROOM_PLACE"),
        (1, "at a bus stop"),
        (1, "at a train station"),
    ],
}


def _zipf(words: str) -> list[tuple[float, str]]:
    return [(1 / (rank + 2), word) for rank, word in enumerate(words.split())]


def _noun_phrases(noun: str, adjectives: Sequence[str]) -> dict[str, list[tuple[float, str]]]:
    """Returns the noun phrases of one noun list, with no, one or two adjectives."""

    def with_adjectives(head: str, before: str = "") -> list[tuple[float, str]]:
        phrases = [(5.0, head)] + [(3.0, f"{adjective} {head}") for adjective in adjectives]
        if len(adjectives) == 2:
            phrases.append((2.0, f"{adjectives[0]} {adjectives[1]} {head}"))
        return [(weight, before + phrase) for weight, phrase in phrases]

    one, many = f"{noun}_PHRASE", f"{noun}S_PHRASE"
    return {
        one: with_adjectives(noun),
        many: with_adjectives(f"{noun}S"),
        f"A_{noun}": with_adjectives(noun, "a/an "),
        f"THAT_{noun}": [(5, f"A_{noun}"), (4, f"the {one}")],
        f"ONE_{noun}": [(10, f"A_{noun}"), (3, f"the {one}"), (0.5, f"this {one}"), (0.5, f"one {one}")],
        f"SOME_{noun}S": [(1, f"NUMBER {many}")],
        f"MANY_{noun}S": [(7, f"NUMBER {many}"), (2, f"the {many}"), (0.5, f"these {many}"), (1, many)],
    }


def caption_rules() -> dict[str, list[tuple[float, str]]]:
    """
    Returns the rules of the caption grammar, assembled from the tables `WORDS`, `NOUNS`, `ADJECTIVES` and `PHRASES`.

    Returns:
        `dict[str, list[tuple[float, str]]]`: For each nonterminal its alternatives `(weight, expansion)`, a new
        dictionary that may be changed and passed to [`CaptionGrammar`].
    """
    rules = {**PHRASES, **{name: _zipf(words) for name, words in WORDS.items()}}
    nouns: dict[str, list[tuple[float, str]]] = {}
    for noun, pairs in NOUNS.items():
        singulars, plurals = zip(*(pair.split("/") for pair in pairs.split()), strict=True)
        nouns[noun], nouns[f"{noun}S"] = _zipf(" ".join(singulars)), _zipf(" ".join(plurals))
        nouns.update(_noun_phrases(noun, ADJECTIVES[noun]))
    # The sentence patterns do not use every noun phrase of every noun; only those in use are kept. An unused list of
    # `WORDS` or `PHRASES` stays, so that the check of the grammar reports it.
    used = reachable({**nouns, **rules}, "CAPTION")
    rules.update((name, alternatives) for name, alternatives in nouns.items() if name in used)
    split = _split_articles(rules)
    still_used = reachable(split, "CAPTION")
    return {name: split[name] for name in split if name in still_used or name not in used}


def _split_articles(rules: Rules) -> dict[str, list[tuple[float, str]]]:
    """
    Replaces the pseudo-word `a/an` by `a` and `an`.

    An alternative with `a/an X`, where `X` is a list of words, becomes one with `a X_C` and one with `an X_V`: the
    words of `X` that start with a consonant and with a vowel letter. The weight is shared in proportion to the words'.
    (The spelling decides, so words like `hour` or `uniform` must not follow `a/an`.)
    """
    split: dict[str, list[tuple[float, str]]] = {}

    def variants(weight: float, expansion: str) -> list[tuple[float, str]]:
        before, article, after = expansion.partition("a/an ")
        if not article:
            return [(weight, expansion)]
        name, blank, rest = after.partition(" ")
        if name not in rules or any(is_nonterminal(word) or len(word.split()) != 1 for _, word in rules[name]):
            raise ValueError(f"'a/an' in {expansion!r} must stand in front of a list of words, got {name!r}.")
        total = sum(w for w, _ in rules[name])
        alternatives = []
        for chosen, suffix in (("a", "C"), ("an", "V")):
            words = [(w, word) for w, word in rules[name] if (word[0] in "aeiou") == (chosen == "an")]
            if words:
                split[f"{name}_{suffix}"] = words
                share = weight * sum(w for w, _ in words) / total
                alternatives += variants(share, f"{before}{chosen} {name}_{suffix}{blank}{rest}")
        return alternatives

    for name, alternatives in rules.items():
        split[name] = [variant for weight, expansion in alternatives for variant in variants(weight, expansion)]
    return split


# The kinds of nouns that a caption can be about; all others, such as rooms and food, are things.
SUBJECTS: dict[str, str] = {
    "people": "KID ADULT WORKER COOK MUSICIAN FARMER ATHLETE",
    "animals": "PET GRAZER MOUNT BEAST BIRD SWIMMER",
    "vehicles": "CAR TRAIN BOAT PLANE RIDE",
}
_SUBJECTS_OF_WORDS = {
    **{
        word: next((subject for subject, lists in SUBJECTS.items() if noun in lists.split()), "things")
        for noun, pairs in NOUNS.items()
        for word in pairs.replace("/", " ").split()
    },
    **dict.fromkeys(("mother", "father", "friends"), "people"),
    **dict.fromkeys(("herd", "flock"), "animals"),
}
_FUNCTION_WORDS = {"a", "an", "the", "is", "are", "."}


def subject_of(caption: str) -> str:
    """Returns the kind of the first noun of a caption: `animals`, `people`, `things` or `vehicles`."""
    words = caption.lower().split()
    return next((_SUBJECTS_OF_WORDS[word] for word in words if word in _SUBJECTS_OF_WORDS), "things")


def keywords_of(caption: str) -> str:
    """Returns a caption without its articles, `is` and `are`, and the stop, as a source text to write it from."""
    return " ".join(word for word in caption.split() if word.lower() not in _FUNCTION_WORDS)


# The columns of the built-in captions beside their text, by the option that names them.
CAPTION_COLUMNS: dict[str, dict[str, Callable[[str], str]]] = {
    "label_column": {"subject": subject_of},
    "source_column": {"keywords": keywords_of},
}


class CaptionGrammar(ProbabilisticGrammar):
    """
    The grammar of English image captions, a [`ProbabilisticGrammar`]. It is unambiguous: each of its sentences has one
    derivation.

    Args:
        rules (`Mapping[str, Sequence[tuple[float, str]]]`, *optional*):
            Rules instead of those of [`caption_rules`].
        start (`str`, *optional*, defaults to `"CAPTION"`):
            The nonterminal of a whole sentence.
    """

    def __init__(self, rules: Rules | None = None, start: str = "CAPTION"):
        super().__init__(caption_rules() if rules is None else rules, start)


__all__ = ["CAPTION_COLUMNS", "CaptionGrammar", "caption_rules", "keywords_of", "subject_of"]
