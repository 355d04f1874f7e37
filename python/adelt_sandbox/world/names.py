"""Names of things, with the commas, quotes and letters that real ones have."""

from collections.abc import Sequence

BRANDS = (
    "Nordwind Reisen",
    "Baker, Stein & Sons",
    "Café Lumière",
    'Studio "Eleven"',
    "山田商店",
    "Harbour Bank",
    "O'Hara Travel",
    "Zürich Möbel",
    "Solar Vida",
    "Kestrel Motors",
    "Pão Dourado",
    "Blue/Green Energy",
)
SEASONS = (
    "Always On",
    "Spring",
    "Summer Sale",
    "Back to School",
    "Black Friday",
    "Winter",
    "Launch",
    "Retention",
)
GOALS = ("Awareness", "Prospecting", "Retargeting", "Conversion", "Consideration")
AUDIENCES = ("In-market", "Affinity", "Lookalike 5%", "Site visitors", "Parents, 25-44", "Run of network")
CONCEPTS = ("Sunrise", "Family", "Discount -20%", "Testimonial", "Product close-up", "Countdown; last days")
PUBLISHERS = (
    "Daily Herald",
    "Weather Today",
    "Sport1",
    "Nachrichten, Online",
    "Recipe Box",
    "Autopark",
    "Le Quotidien",
    "TechBeat",
)
EDITS = ("", "Q1 refresh", "test B", "new audience", "v2", 'the "good" one', "EMEA, adjusted", "relaunch")


def pick(words: Sequence[str], number: int) -> str:
    """One of the words."""
    return words[number % len(words)]


def renamed(name: str, times: int) -> str:
    """The name of an entity that was renamed so many times; always another one than before."""
    if not times:
        return name
    turn = times % len(EDITS)
    text = f"{name} ({EDITS[turn]})" if turn else name
    return text if times < len(EDITS) else f"{text} #{times // len(EDITS) + 1}"
