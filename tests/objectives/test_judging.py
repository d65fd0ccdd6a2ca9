"""Discriminators of every kind: what they read of a sample, and what their answers mean."""

import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from torch.nn import functional as F
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    DistilBertConfig,
    DistilBertForSequenceClassification,
    GPT2Config,
    GPT2ForSequenceClassification,
    PreTrainedTokenizerFast,
    T5Config,
    T5ForSequenceClassification,
)

from hf_textgan.core.context import StepContext
from hf_textgan.core.players import Players
from hf_textgan.data.retokenizer import set_tokenizer
from hf_textgan.data.tokenizers import discriminator_tokenizer, word_tokenizer
from hf_textgan.models import RecurrentDiscriminator, RecurrentDiscriminatorConfig
from hf_textgan.objectives.classifier import ClassifierObjective
from hf_textgan.objectives.judging import join_conditions, judge, judge_many, output_layer
from hf_textgan.objectives.maligan import MaliGANObjective
from hf_textgan.objectives.rewards import probability_of_real
from hf_textgan.objectives.seqgan import SeqGANObjective
from hf_textgan.sampling.engine import RolloutEngine
from hf_textgan.sampling.samples import Samples
from tests.helpers import BOS, EOS, PAD, randomize, tiny_discriminator, tiny_lstm, tiny_t5


pytestmark = pytest.mark.usefixtures("one_thread")
LINES = ["a dog runs", "the cat sits", "a bird sings"]


def tiny_bert(vocab_size: int = 5, **options):
    sizes = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 12}
    dropout = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    values = {"max_position_embeddings": 16, **sizes, **dropout, **options}
    config = BertConfig(vocab_size=vocab_size, **values)
    return BertForSequenceClassification(config)


def tiny_distilbert(vocab_size: int = 5, **options):
    sizes = {"dim": 8, "n_layers": 1, "n_heads": 2, "hidden_dim": 12, "max_position_embeddings": 16}
    dropout = {"dropout": 0.0, "attention_dropout": 0.0, "seq_classif_dropout": 0.0}
    return DistilBertForSequenceClassification(DistilBertConfig(vocab_size=vocab_size, **sizes, **dropout, **options))


def tiny_gpt2_classifier(vocab_size: int = 5, **options):
    sizes = {"n_layer": 1, "n_embd": 8, "n_head": 2, "n_positions": 16}
    dropout = {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0}
    options = {"pad_token_id": PAD, **options}
    return GPT2ForSequenceClassification(GPT2Config(vocab_size=vocab_size, **sizes, **dropout, **options))


CLASSIFIERS = {"bert": tiny_bert, "distilbert": tiny_distilbert, "gpt2": tiny_gpt2_classifier}
every_classifier = pytest.mark.parametrize("kind", CLASSIFIERS)


def classifier_of(kind: str, *args, **options):
    return randomize(CLASSIFIERS[kind](*args, **options), seed=2, std=0.7).eval()


def samples_of(rows: list[list[int]], padding: int = PAD, width: int = 6, conditions=None) -> Samples:
    def padded(rows, width):
        ids = torch.tensor([row + [padding] * (width - len(row)) for row in rows])
        return ids, torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in rows])

    samples = Samples(*padded(rows, width))
    if conditions is not None:
        ids, mask = padded(conditions, max(map(len, conditions)))
        samples.inputs = {"condition_ids": ids, "condition_mask": mask}
    return samples


ROWS = [[3, 4, EOS], [4, EOS], [3, 3, 4, 3, 4, EOS]]
CONDITIONS = [[4, 3, EOS], [3, EOS], [4, EOS]]


def bert_tokenizer(texts: list[str]) -> PreTrainedTokenizerFast:
    """A tokenizer of characters with the pairs of BERT."""
    characters = sorted(set("".join(texts)) - {" "})
    vocabulary = {token: i for i, token in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", *characters])}
    backend = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    backend.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Split("", "isolated")]
    )
    backend.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    special = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    names = ["input_ids", "token_type_ids", "attention_mask"]
    return PreTrainedTokenizerFast(tokenizer_object=backend, model_input_names=names, **special)


# ---- What is read ---------------------------------------------------------------------------------------------------


@every_classifier
@pytest.mark.parametrize("padding", (PAD, 4))
def test_the_logits_are_those_of_each_text_alone(kind, padding):
    model = classifier_of(kind)
    logits = judge(model, samples_of(ROWS, padding))
    alone = torch.cat([model(input_ids=torch.tensor([row])).logits for row in ROWS])
    torch.testing.assert_close(logits, alone, atol=1e-5, rtol=0)
    assert logits.requires_grad and alone.std() > 0.05
    torch.testing.assert_close(judge_many(model, samples_of(ROWS, padding)), logits)


@every_classifier
def test_a_condition_stands_in_front_of_its_text(kind):
    model, samples = classifier_of(kind), samples_of(ROWS, conditions=CONDITIONS)
    logits = judge(model, samples)
    alone = [model(input_ids=torch.tensor([[*c, *row]])).logits for c, row in zip(CONDITIONS, ROWS, strict=True)]
    torch.testing.assert_close(logits, torch.cat(alone), atol=1e-5, rtol=0)
    ids, mask = join_conditions(samples)
    assert ids[1, :4].tolist() == [3, EOS, 4, EOS] and mask.sum(1).tolist() == [6, 4, 8] and ids.shape == (3, 8)


def recurrent_discriminator():
    sizes = {"vocab_size": 5, "sequence_length": 9, "embedding_size": 4, "hidden_size": 5, "pad_token_id": PAD}
    return RecurrentDiscriminator(RecurrentDiscriminatorConfig(**sizes))


@pytest.mark.parametrize(
    "build", (lambda: tiny_discriminator(5, 9), recurrent_discriminator), ids=("cnn", "recurrent")
)
def test_the_discriminators_of_the_package_find_the_ends_themselves(build):
    model = randomize(build(), std=0.7).eval()
    samples = samples_of(ROWS)
    assert torch.equal(judge(model, samples), model(input_ids=samples.sequences).logits)
    # The end of a condition is left out, at which a recurrent one would stop.
    joined = judge(model, samples_of(ROWS, conditions=CONDITIONS))
    rows = [[*c[:-1], *row] for c, row in zip(CONDITIONS, ROWS, strict=True)]
    torch.testing.assert_close(joined, model(input_ids=samples_of(rows, width=9).sequences).logits, atol=1e-5, rtol=0)
    assert (joined - judge(model, samples)).abs().amax() > 1e-3
    many = judge_many(model, samples_of(ROWS, conditions=CONDITIONS))
    torch.testing.assert_close(many, joined, atol=1e-5, rtol=0)


def test_a_single_score_is_the_log_odds_of_real():
    model, samples = classifier_of("bert", num_labels=1), samples_of(ROWS)
    score = torch.cat([model(input_ids=torch.tensor([row])).logits for row in ROWS])[:, 0]
    assert judge(model, samples).shape == (3, 2)
    torch.testing.assert_close(probability_of_real(model, samples), score.sigmoid().detach(), atol=1e-5, rtol=0)
    loss = F.cross_entropy(judge(model, samples), torch.tensor([1, 0, 1]))
    torch.testing.assert_close(loss, F.binary_cross_entropy_with_logits(score, torch.tensor([1.0, 0.0, 1.0])))


# ---- Its own tokenizer ----------------------------------------------------------------------------------------------


def test_texts_are_read_through_the_tokenizer_of_the_classifier():
    own, words = bert_tokenizer(LINES), word_tokenizer(LINES)
    model = classifier_of("bert", len(own), max_position_embeddings=32)
    set_tokenizer(model, own, words)
    ids = [[*words(line, add_special_tokens=False)["input_ids"], words.eos_token_id] for line in LINES[:2]]
    assert words.decode(ids[0]) != own.decode(own(LINES[0])["input_ids"])
    ids.append(ids[1][:-1])  # without an end
    logits = judge(model, samples_of(ids))
    alone = [model(**own(text, return_tensors="pt")).logits for text in (*LINES[:2], LINES[1])]
    torch.testing.assert_close(logits, torch.cat(alone), atol=1e-5, rtol=0)
    assert torch.equal(judge(model, samples_of(ids)), logits)  # from the kept encodings
    # A condition and its text are a pair, which BERT tells apart by their types.
    logits = judge(model, samples_of(ids[:2], conditions=[ids[1], ids[0]]))
    pairs = [model(**own(LINES[1 - i], LINES[i], return_tensors="pt")).logits for i in range(2)]
    torch.testing.assert_close(logits, torch.cat(pairs), atol=1e-5, rtol=0)
    assert own(LINES[0], LINES[1])["token_type_ids"][-1] == 1


def test_long_texts_are_cut_and_empty_ones_read(caplog):
    own, words = bert_tokenizer(LINES), word_tokenizer(LINES)
    model = classifier_of("bert", len(own), max_position_embeddings=6)
    set_tokenizer(model, own, words)
    ids = [*words(LINES[1], add_special_tokens=False)["input_ids"], words.eos_token_id]
    encoded = model.retokenizer(samples_of([ids, [words.eos_token_id]]))
    assert encoded["input_ids"].tolist() == [[2, *own("thec")["input_ids"][1:-1], 3], [2, 3, 0, 0, 0, 0]]
    assert encoded["attention_mask"].tolist() == [[1] * 6, [1, 1, 0, 0, 0, 0]]
    assert "Some texts fill the 6 tokens that the discriminator reads, and longer ones are cut" in caplog.text
    plain = word_tokenizer([*LINES, "more"])
    plain.backend_tokenizer.post_processor = processors.TemplateProcessing(single="$A", pair="$A $B")
    gpt2 = classifier_of("gpt2", len(plain), pad_token_id=None)
    set_tokenizer(gpt2, plain, words)
    assert gpt2.config.pad_token_id == plain.pad_token_id
    encoded = gpt2.retokenizer(samples_of([[words.eos_token_id]]))
    assert encoded["input_ids"].tolist() == [[plain.pad_token_id]] and encoded["attention_mask"].tolist() == [[1]]


def test_the_tokens_of_the_generator_are_read_as_they_are():
    words = word_tokenizer(LINES)
    model = classifier_of("bert", len(words))
    set_tokenizer(model, discriminator_tokenizer(words), words)
    assert not hasattr(model, "retokenizer")
    set_tokenizer(model, words, words)  # it begins a text with BOS
    assert model.retokenizer.tokenizer.get_vocab() == words.get_vocab()


def test_tokenizers_that_do_not_fit():
    own, words = bert_tokenizer(LINES), word_tokenizer(LINES)
    with pytest.raises(ValueError, match=rf"has vocab_size 5 and its tokenizer {len(own)} tokens; use the"):
        set_tokenizer(tiny_bert(5), own, words)
    with pytest.raises(ValueError, match="has pad_token_id 3 and its tokenizer 0; make them equal"):
        set_tokenizer(tiny_bert(len(own), pad_token_id=3), own, words)
    own.pad_token = None
    with pytest.raises(ValueError, match="has no token to pad with; set its pad_token to one of its tokens"):
        set_tokenizer(tiny_bert(len(own)), own, words)


# ---- Objectives -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", (*CLASSIFIERS, "cnn"))
@pytest.mark.parametrize("l2_weight", (0.0, 0.3))
def test_the_loss_of_a_discriminator(kind, l2_weight):
    """Recomputed text by text: cross-entropy, and half the squares of the output layer."""
    model = classifier_of(kind) if kind in CLASSIFIERS else randomize(tiny_discriminator(5, 4)).eval()
    generator = randomize(tiny_lstm(5), std=0.5)
    engine, players = RolloutEngine(4, BOS, PAD, EOS), Players({"generator": generator, "discriminator": model})
    batch = {
        "input_ids": torch.tensor([[BOS, 3, 4, EOS], [BOS, 4, EOS, PAD]]),
        "attention_mask": torch.tensor([[1, 1, 1, 1], [1, 1, 1, 0]]),
    }
    torch.manual_seed(0)
    loss = ClassifierObjective(l2_weight=l2_weight).discriminator_loss(players, engine, batch, StepContext()).loss
    torch.manual_seed(0)
    fake = engine.sample(generator, 2)
    rows = [[3, 4, EOS], [4, EOS]]
    rows += [row[: sum(mask)] for row, mask in zip(fake.sequences.tolist(), fake.attention_mask.tolist(), strict=True)]
    logits = torch.cat([model(input_ids=torch.tensor([row])).logits for row in rows])
    expected = F.cross_entropy(logits, torch.tensor([1, 1, 0, 0]))
    layer = model.score if kind == "gpt2" else model.classifier
    assert output_layer(model) is layer
    for parameter in layer.parameters():
        expected = expected + l2_weight / 2 * parameter.square().sum()
    torch.testing.assert_close(loss, expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("objective", (SeqGANObjective(num_rollouts=2), MaliGANObjective(num_rollouts=2)))
def test_rewards_depend_on_the_condition(objective):
    """The same text gets another reward with another condition, though equal texts are scored once."""
    generator, model = randomize(tiny_t5(5), std=0.5).eval(), classifier_of("bert")
    engine = RolloutEngine(3, BOS, PAD, EOS)
    players = Players({"generator": generator, "discriminator": model, "delayed": generator})
    samples = samples_of([[3, 4, EOS]] * 2, width=3, conditions=[[4, 3, EOS], [3, EOS]])
    if isinstance(objective, SeqGANObjective):
        final = objective.rewards(players, engine, samples)[:, 2]
    else:
        final = objective._odds(players, engine, samples)[:, 2]
    logits = [model(input_ids=torch.tensor([row])).logits[0] for row in ([4, 3, EOS, 3, 4, EOS], [3, EOS, 3, 4, EOS])]
    odds = torch.stack([(pair[1] - pair[0]).exp() for pair in logits]).detach()
    expected = odds / (1 + odds) if isinstance(objective, SeqGANObjective) else odds
    torch.testing.assert_close(final.float(), expected, atol=1e-4, rtol=1e-4)
    assert (expected[0] - expected[1]).abs() > 1e-3


def test_discriminators_that_cannot_judge():
    generator, engine = tiny_lstm(5), RolloutEngine(4, BOS, PAD, EOS)

    def check(discriminator, generator=generator, **options):
        ClassifierObjective(**options).check_players({"generator": generator, "discriminator": discriminator}, engine)

    check(tiny_bert())
    check(tiny_bert(num_labels=1))
    with pytest.raises(ValueError, match="is a BertForSequenceClassification of 3 labels, but it tells real from"):
        check(tiny_bert(num_labels=3))
    with pytest.raises(ValueError, match="is a GPT2ForSequenceClassification without pad_token_id, which it needs"):
        check(tiny_gpt2_classifier(pad_token_id=None))
    sizes = {"d_model": 8, "d_kv": 4, "d_ff": 12, "num_layers": 1, "num_heads": 2}
    with pytest.raises(ValueError, match="is a T5ForSequenceClassification, which needs the end of every text, and"):
        check(T5ForSequenceClassification(T5Config(vocab_size=5, num_labels=2, **sizes)))
    bare = tiny_bert()
    bare.classifier = torch.nn.Identity()
    with pytest.raises(ValueError, match="l2_weight is 0.2, but a BertForSequenceClassification has no linear"):
        check(bare)
    check(bare, l2_weight=0.0)
    with pytest.raises(ValueError, match="num_negatives is 64, but the generator reads the conditions of a"):
        check(tiny_bert(), tiny_t5(5), num_negatives=64)
