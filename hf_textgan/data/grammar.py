"""Probabilistic grammars whose density is known exactly."""

import math
import random
import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import accumulate


Rules = Mapping[str, Sequence[tuple[float, str]]]


# A compiled rule: its log-probability, its symbols, and its bit.
_Rule = tuple[float, list[str], int]

# The spans of a nonterminal from one begin. For each end: log-probability over all derivations, bits of their rules.
_Spans = dict[int, tuple[float, int]]


def is_nonterminal(symbol: str) -> bool:
    """Returns whether a symbol is a nonterminal, of upper-case letters, digits and `_`."""
    return re.fullmatch(r"[A-Z][A-Z0-9_]*", symbol) is not None


def reachable(rules: Rules, start: str) -> set[str]:
    """Returns the nonterminals that derivations from `start` can contain."""
    reached: set[str] = set()
    pending = [start]
    while pending:
        name = pending.pop()
        if name in rules and name not in reached:
            reached.add(name)
            pending.extend(symbol for _, expansion in rules[name] for symbol in expansion.split())
    return reached


def _log_add(a: float, b: float) -> float:
    high, low = (a, b) if a >= b else (b, a)
    return high + math.log1p(math.exp(low - high))


class ProbabilisticGrammar:
    """
    A probabilistic context-free grammar without recursion, with exact sentence probabilities.

    Args:
        rules (`Mapping[str, Sequence[tuple[float, str]]]`):
            For each nonterminal its alternatives `(weight, expansion)`. A weight is positive, and the weights of one
            nonterminal need not sum to 1. An expansion is a blank-separated string of symbols, possibly empty. Symbols
            of upper-case letters, digits and `_` are nonterminals, all others are words.
        start (`str`):
            The nonterminal of a whole sentence.

    Attributes:
        rules (`dict[str, list[tuple[float, str]]]`):
            For each nonterminal its alternatives `(probability, expansion)`.
        max_length (`int`):
            Maximum number of tokens of a sentence.

    Raises:
        `ValueError`: A nonterminal is undefined, unreachable, recursive or without alternatives, or an alternative is
        repeated or has a weight that is not positive and finite.

    Example:

    ```python
    >>> from hf_textgan.data import CaptionGrammar

    >>> grammar = CaptionGrammar()
    >>> texts = grammar.sample(1000, seed=0)
    >>> grammar.log_prob("two dog are sleeping .")
    -inf
    ```
    """

    def __init__(self, rules: Rules, start: str):
        self.start = start
        order = _check(rules, start)

        self.rules: dict[str, list[tuple[float, str]]] = {}
        self._compiled: dict[str, list[_Rule]] = {}
        self._cumulative: dict[str, list[float]] = {}
        self._num_rules = 0
        for name, alternatives in rules.items():
            total = math.fsum(weight for weight, _ in alternatives)
            self.rules[name] = [(weight / total, expansion) for weight, expansion in alternatives]
            self._cumulative[name] = list(accumulate(probability for probability, _ in self.rules[name]))
            self._compiled[name] = []
            for weight, expansion in alternatives:
                rule = (math.log(weight) - math.log(total), expansion.split(), 1 << self._num_rules)
                self._compiled[name].append(rule)
                self._num_rules += 1

        # From the leaves up: longest sentence, entropy, and the rules that can begin with a word or write nothing.
        longest: dict[str, int] = {}
        entropy: dict[str, float] = {}
        self._by_first: dict[str, dict[str, list[_Rule]]] = {}
        self._empty: dict[str, list[_Rule]] = {}
        for name in order:
            compiled = self._compiled[name]
            longest[name] = max(sum(longest.get(symbol, 1) for symbol in symbols) for _, symbols, _ in compiled)
            entropy[name] = math.fsum(
                probability * (math.fsum(entropy.get(symbol, 0.0) for symbol in symbols) - log_probability)
                for (probability, _), (log_probability, symbols, _) in zip(self.rules[name], compiled, strict=True)
            )
            firsts: list[dict[str, None]] = []
            self._empty[name] = []
            for rule in compiled:
                first: dict[str, None] = {}
                for symbol in rule[1]:
                    first.update(dict.fromkeys(self._by_first.get(symbol, [symbol])))
                    if not self._empty.get(symbol):
                        break
                else:
                    self._empty[name].append(rule)
                firsts.append(first)
            words = {word: None for first in firsts for word in first}
            self._by_first[name] = {
                word: [
                    rule
                    for rule, first in zip(compiled, firsts, strict=True)
                    if word in first or rule in self._empty[name]
                ]
                for word in words
            }
        self.max_length = longest[start]
        self._entropy = entropy[start]

    @property
    def num_rules(self) -> int:
        """The number of production rules, which are the alternatives of all nonterminals."""
        return self._num_rules

    def vocabulary(self) -> list[str]:
        """Returns the words of the grammar (with the final `.`), sorted."""
        symbols = {symbol for rules in self._compiled.values() for _, rule, _ in rules for symbol in rule}
        return sorted(symbols - set(self.rules))

    def entropy(self) -> float:
        """
        Returns the exact entropy of the distribution over derivations, in nats per sentence.

        For an unambiguous grammar, such as the default one, it is the entropy of the sentences: the expectation of
        `-log_prob` over the grammar's own samples, and the lowest loss that a language model can reach.
        """
        return self._entropy

    def sample(self, num_samples: int, seed: int = 0) -> list[str]:
        """
        Draws independent sentences.

        Args:
            num_samples (`int`):
                The number of sentences, 0 or more.
            seed (`int`, *optional*, defaults to 0):
                The seed, 0 or more. The same seed gives the same list on every machine.

        Returns:
            `list[str]`: `num_samples` sentences.

        Raises:
            `ValueError`: A number is not an integer or is negative.
        """
        for name, value in (("num_samples", num_samples), ("seed", seed)):
            if isinstance(value, bool) or not isinstance(value, int) or value < 0:
                raise ValueError(f"`{name}` must be an integer of 0 or more, got {value!r}.")
        uniform = random.Random(seed).random
        sentences = []
        for _ in range(num_samples):
            tokens: list[str] = []
            pending = [self.start]
            while pending:
                symbol = pending.pop()
                cumulative = self._cumulative.get(symbol)
                if cumulative is None:
                    tokens.append(symbol)
                else:
                    # Rounding may leave the last cumulative probability below 1.
                    chosen = min(bisect_right(cumulative, uniform()), len(cumulative) - 1)
                    pending.extend(reversed(self._compiled[symbol][chosen][1]))
            sentences.append(" ".join(tokens))
        return sentences

    def log_prob(self, sentence: str) -> float:
        """
        Returns the exact natural log-probability of a sentence, summed over all its derivations.

        Args:
            sentence (`str`):
                The sentence. Its tokens are `sentence.split(" ")`, so case, blanks and the final ` .` matter.

        Returns:
            `float`: The log-probability, `-math.inf` if the grammar does not write this sentence.

        Raises:
            `TypeError`: `sentence` is not a string.
        """
        return self._parse(sentence)[0]

    def scores(self, sentences: Sequence[str]) -> dict[str, float]:
        """
        Scores sentences, for example those of a generator. The result does not depend on their order.

        Args:
            sentences (`Sequence[str]`):
                The sentences, at least one.

        Returns:
            `dict[str, float]`:

            - `grammar_share`: share of the sentences that are grammatical.
            - `grammar_nll`: mean `-log_prob` of the grammatical sentences, in nats per sentence (`nan` if none).
            - `grammar_nll_per_token`: their total `-log_prob` divided by their number of tokens (`nan` if none).
            - `grammar_coverage`: share of the `num_rules` production rules, those of single words included, that occur
              in a derivation of at least one grammatical sentence.
            - `grammar_distinct`: number of distinct grammatical sentences divided by the number of sentences.

        Raises:
            `ValueError`: There is no sentence, or `sentences` is one string.
            `TypeError`: A sentence is not a string.
        """
        if isinstance(sentences, str):
            raise ValueError(f"`sentences` must be a list of strings, got the single string {sentences!r}.")
        if len(sentences) == 0:
            raise ValueError("`sentences` is empty, give at least one sentence.")
        for sentence in sentences:
            _check_string(sentence)
        count = tokens = distinct = used = 0
        losses: list[float] = []
        for sentence, times in Counter(sentences).items():
            log_prob, rules = self._parse(sentence)
            if log_prob == -math.inf:
                continue
            count += times
            tokens += times * _num_tokens(sentence)
            distinct += 1
            used |= rules
            losses.append(-log_prob * times)
        # `fsum` rounds once, hence the same sum in any order.
        total = math.fsum(losses)
        return {
            "grammar_share": count / len(sentences),
            "grammar_nll": total / count if count else math.nan,
            "grammar_nll_per_token": total / tokens if tokens else math.nan,
            "grammar_coverage": used.bit_count() / self.num_rules,
            "grammar_distinct": distinct / len(sentences),
        }

    def _parse(self, sentence: str) -> tuple[float, int]:
        """Returns the log-probability of a sentence, and the rules of all its derivations as bits of an integer."""
        _check_string(sentence)
        length = _num_tokens(sentence)
        if length > self.max_length:
            return -math.inf, 0
        # The last token is no word; it ends the sentence.
        return self._inside(self.start, 0, [*sentence.split(" "), ""], {}).get(length, (-math.inf, 0))

    def _inside(self, name: str, begin: int, tokens: list[str], known: dict[tuple[str, int], _Spans]) -> _Spans:
        """Returns all spans of `name` from `begin`: the inside algorithm, top-down and memoised in `known`."""
        key = (name, begin)
        if key in known:
            return known[key]
        result: _Spans = {}
        for log_probability, symbols, bit in self._by_first[name].get(tokens[begin], self._empty[name]):
            spans: _Spans = {begin: (log_probability, bit)}
            for symbol in symbols:
                extended: _Spans = {}
                firsts = self._by_first.get(symbol)
                for middle, (so_far, rules) in spans.items():
                    if firsts is None:
                        if tokens[middle] == symbol:
                            _add(extended, middle + 1, so_far, rules)
                    elif tokens[middle] in firsts or self._empty[symbol]:
                        for end, (inner, inner_rules) in self._inside(symbol, middle, tokens, known).items():
                            _add(extended, end, so_far + inner, rules | inner_rules)
                spans = extended
                if not spans:
                    break
            for end, (log_prob, rules) in spans.items():
                _add(result, end, log_prob, rules)
        known[key] = result
        return result


def _add(spans: _Spans, end: int, log_prob: float, rules: int) -> None:
    """Adds derivations that end at `end`."""
    if end in spans:
        before, rules_before = spans[end]
        spans[end] = (_log_add(before, log_prob), rules_before | rules)
    else:
        spans[end] = (log_prob, rules)


def _num_tokens(sentence: str) -> int:
    # The empty sentence has no tokens, though its `split` has one.
    return len(sentence.split(" ")) if sentence else 0


def _check_string(sentence: object) -> None:
    if not isinstance(sentence, str):
        raise TypeError(f"A sentence must be a string, got {sentence!r} of type {type(sentence).__name__}.")


def _check(rules: Rules, start: str) -> list[str]:
    """Checks a grammar, and returns its nonterminals, each after those in its expansions."""
    if start not in rules:
        raise ValueError(f"The start symbol {start!r} has no rules, add it or pass another `start`.")
    for name, alternatives in rules.items():
        if not is_nonterminal(name):
            raise ValueError(f"The nonterminal {name!r} must be written in upper-case letters, digits and '_'.")
        if not alternatives:
            raise ValueError(f"The nonterminal {name!r} has no alternatives, give at least one.")
        seen: set[tuple[str, ...]] = set()
        for weight, expansion in alternatives:
            if not (weight > 0 and math.isfinite(weight)):
                raise ValueError(
                    f"The alternative {expansion!r} of {name!r} has weight {weight}, make it positive and finite."
                )
            symbols = tuple(expansion.split())
            if symbols in seen:
                raise ValueError(f"The alternative {expansion!r} of {name!r} is repeated, give it once.")
            seen.add(symbols)
            for symbol in symbols:
                if is_nonterminal(symbol) and symbol not in rules:
                    raise ValueError(f"The nonterminal {symbol!r} used in {name!r} is undefined, add rules for it.")
    used = reachable(rules, start)
    for name in rules:
        if name not in used:
            raise ValueError(f"The nonterminal {name!r} is unreachable from {start!r}, use it or remove it.")

    order: list[str] = []
    done: set[str] = set()

    def visit(name: str, above: tuple[str, ...]) -> None:
        if name in above:
            loop = " -> ".join([*above[above.index(name) :], name])
            raise ValueError(f"The nonterminal {name!r} is recursive ({loop}), break the loop.")
        if name in done:
            return
        for _, expansion in rules[name]:
            for symbol in expansion.split():
                if symbol in rules:
                    visit(symbol, (*above, name))
        done.add(name)
        order.append(name)

    visit(start, ())
    return order


__all__ = ["ProbabilisticGrammar", "Rules"]
