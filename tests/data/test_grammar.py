import itertools
import math
import os
import random
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from hf_textgan.data import caption_grammar
from hf_textgan.data.caption_grammar import CaptionGrammar, caption_rules, keywords_of, subject_of


FOLDER = Path(caption_grammar.__file__).parent


TINY = {
    "S": [(3, "DET N VERB ADV"), (1, "N VERB")],
    "DET": [(1, "the"), (1, "a")],
    "N": [(2, "cat"), (1, "dog"), (1, "bird")],
    "VERB": [(1, "sleeps"), (4, "sings")],
    "ADV": [(1, ""), (3, "well .")],
}


@pytest.fixture(scope="module")
def grammar() -> CaptionGrammar:
    return CaptionGrammar()


@pytest.fixture(scope="module")
def samples(grammar: CaptionGrammar) -> list[str]:
    return grammar.sample(20_000, seed=3)


# ---- an independent reading of the rules: leftmost derivations on a stack of symbols


class Oracle:
    def __init__(self, rules, start):
        self.start = start
        self.rules = {
            name: [
                (weight / sum(w for w, _ in alternatives), tuple(expansion.split()))
                for weight, expansion in alternatives
            ]
            for name, alternatives in rules.items()
        }
        self.steps = cache(self._steps)

    def _steps(self, stack: tuple[str, ...]) -> dict[str, list[tuple[float, tuple[str, ...]]]]:
        """The next words of a leftmost derivation: for each word one (log-probability, stack) per derivation."""
        found: dict[str, list[tuple[float, tuple[str, ...]]]] = {}
        pending = [(0.0, stack)]
        while pending:
            log_prob, (head, *rest) = pending.pop()
            if head not in self.rules:
                found.setdefault(head, []).append((log_prob, tuple(rest)))
            for probability, symbols in self.rules.get(head, []):
                pending.append((log_prob + math.log(probability), (*symbols, *rest)))
        return found

    def parses(self, sentence: str) -> list[float]:
        """The log-probability of each derivation."""
        stacks = [(0.0, (self.start, "$"))]
        for word in [*sentence.split(" "), "$"]:
            stacks = [
                (so_far + step, after)
                for so_far, stack in stacks
                if stack
                for step, after in self.steps(stack).get(word, [])
            ]
        return [log_prob for log_prob, _ in stacks]

    def ambiguous_word(self) -> str | None:
        """
        Decides ambiguity: follows all pairs of derivations with the same words so far. A pair that has parted and ends
        together is two derivations of one sentence.
        """
        begin = (self.start, "$")
        pending = [(begin, begin, False)]
        seen = set(pending)
        while pending:
            one, two, parted = pending.pop()
            if one == () or two == ():
                if parted and one == two:
                    return "$"
                continue
            steps_one, steps_two = self.steps(one), self.steps(two)
            for word in steps_one.keys() & steps_two.keys():
                after_one = [after for _, after in steps_one[word]]
                after_two = [after for _, after in steps_two[word]]
                for i, j in itertools.product(range(len(after_one)), range(len(after_two))):
                    if not parted and j < i:
                        continue
                    pair = (*sorted((after_one[i], after_two[j])), parted or i != j)
                    if pair not in seen:
                        seen.add(pair)
                        pending.append(pair)
        return None


@pytest.fixture(scope="module")
def oracle() -> Oracle:
    return Oracle(caption_rules(), "CAPTION")


# ---- tiny grammars, by hand


def tiny_by_hand() -> Iterator[tuple[str, float]]:
    nouns = {"cat": 0.5, "dog": 0.25, "bird": 0.25}
    verbs = {"sleeps": 0.2, "sings": 0.8}
    for noun, p_noun in nouns.items():
        for verb, p_verb in verbs.items():
            yield f"{noun} {verb}", 0.25 * p_noun * p_verb
            for article in ("the", "a"):
                yield f"{article} {noun} {verb}", 0.75 * 0.5 * p_noun * p_verb * 0.25
                yield f"{article} {noun} {verb} well .", 0.75 * 0.5 * p_noun * p_verb * 0.75


def test_tiny_grammar_equals_hand_enumeration():
    tiny = CaptionGrammar(TINY, start="S")
    by_hand = dict(tiny_by_hand())
    assert len(by_hand) == 30
    for sentence, probability in by_hand.items():
        assert tiny.log_prob(sentence) == pytest.approx(math.log(probability), abs=1e-12)
    assert math.fsum(math.exp(tiny.log_prob(sentence)) for sentence in by_hand) == pytest.approx(1, abs=1e-12)
    assert tiny.entropy() == pytest.approx(-math.fsum(p * math.log(p) for p in by_hand.values()), abs=1e-12)
    assert tiny.max_length == 5
    assert tiny.num_rules == 11
    assert tiny.vocabulary() == [".", "a", "bird", "cat", "dog", "sings", "sleeps", "the", "well"]


def test_tiny_grammar_has_no_other_sentence():
    tiny = CaptionGrammar(TINY, start="S")
    by_hand = dict(tiny_by_hand())
    words = [*tiny.vocabulary(), "fish"]
    for length in range(1, 5):
        for tokens in itertools.product(words, repeat=length):
            sentence = " ".join(tokens)
            assert (tiny.log_prob(sentence) > -math.inf) == (sentence in by_hand)


def test_tiny_grammar_samples_have_the_exact_frequencies():
    tiny = CaptionGrammar(TINY, start="S")
    counts = Counter(tiny.sample(30_000, seed=1))
    by_hand = dict(tiny_by_hand())
    assert counts.keys() <= by_hand.keys()
    chi_square = sum((counts[s] - 30_000 * p) ** 2 / (30_000 * p) for s, p in by_hand.items())
    assert chi_square < 66.2  # 29 degrees of freedom, one in 10,000


def test_ambiguous_grammar_sums_its_parses():
    ambiguous = {"S": [(1, "X Y"), (1, "Z"), (2, "b b")], "X": [(1, "a"), (3, "a a")], "Y": [(1, "a"), (1, "a a")]}
    ambiguous["Z"] = [(1, "a a a"), (1, "")]
    tiny = CaptionGrammar(ambiguous, start="S")
    # X Y: a | a a, and a a | a, with 1/4 * (1/4 * 1/2 + 3/4 * 1/2); Z: 1/4 * 1/2.
    assert math.exp(tiny.log_prob("a a a")) == pytest.approx(0.25 * 0.5 + 0.125, abs=1e-12)
    assert math.exp(tiny.log_prob("a a")) == pytest.approx(0.25 * 0.125, abs=1e-12)
    assert math.exp(tiny.log_prob("a a a a")) == pytest.approx(0.25 * 0.375, abs=1e-12)
    assert math.exp(tiny.log_prob("b b")) == pytest.approx(0.5, abs=1e-12)
    assert math.exp(tiny.log_prob("")) == pytest.approx(0.125, abs=1e-12)
    # All derivations of the sentence count as used: S -> X Y, S -> Z, both X, both Y and Z -> a a a, of 9 rules.
    assert tiny.scores(["a a a"])["grammar_coverage"] == pytest.approx(7 / 9)
    assert Oracle(ambiguous, "S").ambiguous_word() == "$"


def test_derivations_that_differ_without_words_are_summed():
    tiny = CaptionGrammar({"S": [(1, "X Y a")], "X": [(1, ""), (1, "b")], "Y": [(1, ""), (3, "b")]}, start="S")
    assert math.exp(tiny.log_prob("b a")) == pytest.approx(0.5 * 0.25 + 0.5 * 0.75, abs=1e-12)


def test_very_unlikely_sentences_do_not_underflow():
    rules = {"S": [(1, " ".join(["W"] * 40))], "W": [(1e-30, "rare"), (1, "often")]}
    rare = " ".join(["rare"] * 40)
    assert CaptionGrammar(rules, start="S").log_prob(rare) == pytest.approx(40 * math.log(1e-30))


# ---- the caption grammar


def test_every_sample_has_the_log_probability_of_its_only_parse(grammar, samples, oracle):
    for sentence in samples[:3000]:
        parses = oracle.parses(sentence)
        assert len(parses) == 1
        assert grammar.log_prob(sentence) == pytest.approx(parses[0], abs=1e-9)


def test_grammar_is_unambiguous(oracle):
    assert oracle.ambiguous_word() is None


def test_ambiguity_is_found_when_it_is_there():
    rules = caption_rules()
    # A dog that is also a beast.
    rules["BEAST_C"] = [*rules["BEAST_C"], (0.1, "dog")]
    rules["ANIMAL_CLAUSE"] = [*rules["ANIMAL_CLAUSE"], (1, "A_BEAST is PET_DOING")]
    assert Oracle(rules, "CAPTION").ambiguous_word() == "$"


def test_mean_loss_of_samples_is_the_entropy(grammar, samples):
    losses = [-grammar.log_prob(sentence) for sentence in samples[:5000]]
    mean = math.fsum(losses) / len(losses)
    variance = math.fsum((loss - mean) ** 2 for loss in losses) / (len(losses) - 1)
    assert abs(mean - grammar.entropy()) < 4 * math.sqrt(variance / len(losses))


@pytest.mark.parametrize("name", ["CAPTION", "PEOPLE_CLAUSE"])
def test_sampled_patterns_have_their_probabilities(samples, oracle, name):
    counts: Counter[int] = Counter()
    patterns = oracle.rules[name]
    suffix = (".", "$") if name != "CAPTION" else ("$",)
    for sentence in samples[:3000]:
        for number, (_, symbols) in enumerate(patterns):
            stacks = [(*symbols, *suffix)]
            for word in [*sentence.split(" "), "$"]:
                stacks = [after for stack in stacks if stack for _, after in oracle.steps(stack).get(word, [])]
            counts[number] += len(stacks)
    total = sum(counts.values())
    assert total == 3000 if name == "CAPTION" else 0 < total < 3000
    expected = [total * probability for probability, _ in patterns]
    chi_square = sum((counts[number] - e) ** 2 / e for number, e in enumerate(expected))
    degrees = len(patterns) - 1
    assert chi_square < degrees + 5 * math.sqrt(2 * degrees)


def test_samples_look_like_captions(grammar, samples):
    lengths = [len(sentence.split(" ")) for sentence in samples]
    assert 4 <= min(lengths) and max(lengths) <= grammar.max_length <= 24
    assert 9 < sum(lengths) / len(lengths) < 12
    assert len(set(samples[:10_000])) > 9_000
    assert 300 <= len(grammar.vocabulary()) <= 600
    for sentence in samples:
        assert sentence.endswith(" .") and sentence.count(".") == 1
        assert sentence == sentence.lower()
        assert not re.search(r"\ba [aeiou]|\ban [^aeiou]|  ", sentence)
    words = {word for sentence in samples for word in sentence.split(" ")}
    assert words <= set(grammar.vocabulary())


def test_broken_agreement_is_ungrammatical(grammar, samples):
    swaps = {"is": "are", "are": "is", "a": "an", "an": "a", "this": "these", "these": "this", "two": "one"}
    seen: Counter[str] = Counter()
    for sentence in samples[:1200]:
        tokens = sentence.split(" ")
        for position, word in enumerate(tokens):
            if word in swaps:
                seen[word] += 1
                broken = " ".join([*tokens[:position], swaps[word], *tokens[position + 1 :]])
                assert grammar.log_prob(broken) == -math.inf, broken
    assert seen.keys() == swaps.keys()


@pytest.mark.parametrize(
    "sentence",
    [
        "a dogs is sleeping on a sofa .",
        "an dog is sleeping on a sofa .",
        "two dog are sleeping on a sofa .",
        "two dogs is sleeping on a sofa .",
        "a dog are sleeping on a sofa .",
        "a dog is sleeping on a sofa",
        "a dog is sleeping on a sofa.",
        "a dog  is sleeping on a sofa .",
        " a dog is sleeping on a sofa .",
        "a dog is sleeping on a sofa . ",
        "a dog is sleeping on a sofa .\n",
        "A dog is sleeping on a sofa .",
        "a dog is sleeping on a sofa . .",
        "a wug is sleeping on a sofa .",
        "a dog is sleeping PLACE .",
        "CAPTION",
        ".",
        "",
    ],
)
def test_near_misses_are_ungrammatical(grammar, sentence):
    assert grammar.log_prob("a dog is sleeping on a sofa .") > -math.inf
    assert grammar.log_prob(sentence) == -math.inf


def test_swapped_words_are_mostly_ungrammatical(grammar, samples):
    rng = random.Random(0)
    grammatical = tried = 0
    for sentence in samples[:1500]:
        tokens = sentence.split(" ")
        i, j = rng.sample(range(len(tokens)), 2)
        if tokens[i] != tokens[j]:
            tokens[i], tokens[j] = tokens[j], tokens[i]
            tried += 1
            grammatical += grammar.log_prob(" ".join(tokens)) > -math.inf
    assert tried > 1200
    assert grammatical / tried < 0.05


def test_rules_are_normalised_and_may_be_extended(grammar):
    for alternatives in grammar.rules.values():
        assert math.fsum(probability for probability, _ in alternatives) == pytest.approx(1)
    assert grammar.num_rules == sum(len(alternatives) for alternatives in grammar.rules.values())
    rules = caption_rules()
    rules["CAPTION"].append((1, "hello ."))
    assert math.exp(CaptionGrammar(rules).log_prob("hello .")) == pytest.approx(1 / 101)
    assert CaptionGrammar().log_prob("hello .") == -math.inf


def test_articles_leave_the_frequencies_of_the_words_as_they_are():
    nouns = {"N": [(1, "owl"), (2, "dog"), (1, "eagle")], "M": [(1, "ox")]}
    split = caption_grammar._split_articles({"S": [(3, "a/an N sees a/an M"), (1, "the N")], **nouns})
    assert split["S"] == [(1.5, "a N_C sees an M_V"), (1.5, "an N_V sees an M_V"), (1, "the N")]
    assert split["N_C"] == [(2, "dog")] and split["N_V"] == [(1, "owl"), (1, "eagle")]
    tiny = CaptionGrammar({name: split[name] for name in ("S", "N", "N_C", "N_V", "M_V")}, start="S")
    for sentence, probability in (("a dog sees an ox", 3 / 8), ("an owl sees an ox", 3 / 16), ("the owl", 1 / 16)):
        assert math.exp(tiny.log_prob(sentence)) == pytest.approx(probability)
    for expansion in ("a/an tree", "a/an S"):
        with pytest.raises(ValueError, match="must stand in front of a list of words, got"):
            caption_grammar._split_articles({"S": [(1, "one two")], "T": [(1, expansion)]})


# ---- sampling


def test_seed_decides_the_samples(grammar):
    assert grammar.sample(50, seed=4) == CaptionGrammar().sample(50, seed=4)
    assert grammar.sample(50, seed=4) != grammar.sample(50, seed=5)
    assert grammar.sample(20, seed=4) == grammar.sample(50, seed=4)[:20]
    assert grammar.sample(0) == []


def test_samples_and_scores_do_not_depend_on_the_hash_seed(grammar):
    # The packages stand without their __init__, which import torch and take most of the time.
    folders = {"hf_textgan": str(FOLDER.parent), "hf_textgan.data": str(FOLDER)}
    program = (
        "import sys, types\n"
        f"for name, folder in {folders}.items():\n"
        "    sys.modules[name] = types.ModuleType(name)\n"
        "    sys.modules[name].__path__ = [folder]\n"
        "from hf_textgan.data.caption_grammar import CaptionGrammar\n"
        "g = CaptionGrammar()\n"
        "s = g.sample(300, seed=9)\n"
        "print(*s, repr(g.scores(s)), repr(g.entropy()), sep='\\n')\n"
    )
    outputs = [
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("0", "1")
    ]
    texts = grammar.sample(300, seed=9)
    expected = [*texts, repr(grammar.scores(texts)), repr(grammar.entropy())]
    assert outputs[0].splitlines() == outputs[1].splitlines() == expected


# ---- scores


def test_scores_by_hand():
    tiny = CaptionGrammar(TINY, start="S")
    scores = tiny.scores(["cat sings", "cat sings", "the dog sleeps well .", "cat the"])
    first, second = -math.log(0.25 * 0.5 * 0.8), -math.log(0.75 * 0.5 * 0.25 * 0.2 * 0.75)
    assert scores == {
        "grammar_share": 0.75,
        "grammar_nll": pytest.approx((2 * first + second) / 3),
        "grammar_nll_per_token": pytest.approx((2 * first + second) / 9),
        # S twice, DET the, N cat and dog, both verbs, ADV well: 8 of 11 rules.
        "grammar_coverage": pytest.approx(8 / 11),
        "grammar_distinct": 0.5,
    }


def test_scores_without_a_grammatical_sentence(grammar):
    scores = grammar.scores(["a a a", ""])
    assert math.isnan(scores["grammar_nll"]) and math.isnan(scores["grammar_nll_per_token"])
    assert (scores["grammar_share"], scores["grammar_coverage"], scores["grammar_distinct"]) == (0, 0, 0)


def test_scores_do_not_depend_on_the_order(grammar, samples):
    texts = [*samples[:300], *samples[:100], "not a caption ."]
    expected = grammar.scores(texts)
    for seed in range(3):
        random.Random(seed).shuffle(texts)
        assert grammar.scores(texts) == expected
    assert expected["grammar_share"] == 400 / 401


def test_scores_of_own_samples(grammar, samples):
    scores = grammar.scores(samples[:2000])
    assert scores["grammar_share"] == 1
    assert scores["grammar_nll"] == pytest.approx(grammar.entropy(), rel=0.03)
    assert scores["grammar_coverage"] > 0.9
    assert scores["grammar_distinct"] == len(set(samples[:2000])) / 2000


# ---- errors


@pytest.mark.parametrize(
    ("rules", "match"),
    [
        ({"T": [(1, "a")]}, "start symbol 'S' has no rules"),
        ({"S": [(1, "a NOUN")]}, "'NOUN' used in 'S' is undefined"),
        ({"S": [(1, "a")], "T": [(1, "b")]}, "'T' is unreachable from 'S'"),
        ({"S": [(1, "a S")]}, re.escape("'S' is recursive (S -> S)")),
        ({"S": [(1, "T")], "T": [(1, "a"), (1, "U")], "U": [(1, "T b")]}, re.escape("(T -> U -> T)")),
        ({"S": [(1, "a"), (0, "b")]}, "'b' of 'S' has weight 0, make it positive"),
        ({"S": [(-1.5, "a")]}, "weight -1.5"),
        ({"S": [(math.nan, "a")]}, "weight nan"),
        ({"S": [(math.inf, "a")]}, "weight inf"),
        ({"S": []}, "'S' has no alternatives"),
        ({"S": [(1, "a b"), (1, "a  b")]}, "'a  b' of 'S' is repeated"),
        ({"S": [(1, "noun")], "noun": [(1, "a")]}, "'noun' must be written in upper-case"),
    ],
)
def test_invalid_grammars(rules, match):
    with pytest.raises(ValueError, match=match):
        CaptionGrammar(rules, start="S")


def test_invalid_arguments(grammar):
    with pytest.raises(ValueError, match="`sentences` is empty"):
        grammar.scores([])
    with pytest.raises(ValueError, match="got the single string 'a dog .'"):
        grammar.scores("a dog .")
    with pytest.raises(TypeError, match="must be a string, got 3 of type int"):
        grammar.scores(["a dog .", 3])
    with pytest.raises(TypeError, match="must be a string, got None of type NoneType"):
        grammar.log_prob(None)
    with pytest.raises(ValueError, match="`num_samples` must be an integer of 0 or more, got -1"):
        grammar.sample(-1)
    with pytest.raises(ValueError, match="`num_samples` must be an integer of 0 or more, got 2.0"):
        grammar.sample(2.0)
    with pytest.raises(ValueError, match="`seed` must be an integer of 0 or more, got True"):
        grammar.sample(1, seed=True)


@pytest.mark.parametrize(
    ("caption", "subject", "keywords"),
    [
        ("a small brown dog is sleeping on the wooden bench .", "animals", "small brown dog sleeping on wooden bench"),
        ("there are two boats on a lake .", "vehicles", "there two boats on lake"),
        ("A man is reading a book in the park .", "people", "man reading book in park"),
        ("a herd of cows is grazing .", "animals", "herd of cows grazing"),
        ("a view of the city from a hill .", "things", "view of city from hill"),
    ],
)
def test_columns_of_captions(caption, subject, keywords):
    assert (subject_of(caption), keywords_of(caption)) == (subject, keywords)
