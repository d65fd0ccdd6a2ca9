"""The mixture of generators against its parts, in `generate` and the pipeline of transformers."""

import copy

import pytest
import torch
from transformers import AutoModel, AutoModelForCausalLM, pipeline

from hf_textgan.data.tokenizers import word_tokenizer
from hf_textgan.models import (
    CACHE_NAME,
    MixtureGeneratorConfig,
    MixtureGeneratorForCausalLM,
    RecurrentGeneratorConfig,
    RecurrentGeneratorForCausalLM,
)
from hf_textgan.sampling import RolloutEngine, capabilities_of
from hf_textgan.sampling.samples import Samples
from tests.helpers import BOS, EOS, PAD, all_sequences, chi_square_p, exact_logps, randomize
from tests.models.test_recurrent_generator import CELLS, DECODING, LINES, PROMPTS, best_continuation, pad
from tests.sampling.tools import recorded_samples


pytestmark = pytest.mark.usefixtures("one_thread")

K = 3
LABELS = torch.tensor([2, 0, 1, 2, 0])  # of one batch, in no order
IDS = torch.randint(3, 11, (5, 7), generator=torch.Generator().manual_seed(0))


def mixture(num_classes: int = K, vocab_size: int = 11, seed: int = 3, std: float = 0.8, **options):
    sizes = {"embedding_size": 4, "hidden_size": 6}
    config = MixtureGeneratorConfig(vocab_size=vocab_size, num_classes=num_classes, **{**sizes, **options})
    return randomize(MixtureGeneratorForCausalLM(config), seed, std).eval()


def part(model: MixtureGeneratorForCausalLM, label: int) -> RecurrentGeneratorForCausalLM:
    """The generator of a class as a model of its own."""
    names = RecurrentGeneratorConfig.__annotations__
    single = RecurrentGeneratorForCausalLM(
        RecurrentGeneratorConfig(**{name: getattr(model.config, name) for name in names if name != "model_type"})
    )
    single.load_state_dict(model.parts[label].state_dict())
    return single.eval()


@pytest.mark.parametrize("options", ({"num_hidden_layers": 2}, {"cell_type": "gru"}, {"tie_word_embeddings": True}))
def test_each_row_is_read_by_the_generator_of_its_class(options):
    model = mixture(**({"embedding_size": 6} if "tie_word_embeddings" in options else {}), **options)
    with torch.no_grad():
        output = model(input_ids=IDS, class_labels=LABELS, output_hidden_states=True, labels=IDS)
        for row, label in enumerate(LABELS.tolist()):
            alone = part(model, label)(input_ids=IDS[row : row + 1], output_hidden_states=True)
            torch.testing.assert_close(output.logits[row], alone.logits[0], atol=1e-5, rtol=0)
            for merged, own in zip(output.hidden_states, alone.hidden_states, strict=True):
                torch.testing.assert_close(merged[row], own[0], atol=1e-5, rtol=0)
        logps = output.logits[:, :-1].log_softmax(-1).gather(2, IDS[:, 1:, None])
    assert float(output.loss) == pytest.approx(-float(logps.mean()), rel=1e-5)
    others = model(input_ids=IDS, class_labels=(LABELS + 1) % K).logits
    assert ((others - output.logits).abs().amax((1, 2)) > 1e-3).all(), "the classes differ"
    with torch.no_grad():
        (again,) = model(input_ids=IDS, class_labels=LABELS, use_cache=False, return_dict=False)
    torch.testing.assert_close(again, output.logits, atol=1e-5, rtol=0)


@pytest.mark.parametrize("std", (0.0, 2.0))
@pytest.mark.parametrize("cell_type", CELLS)
def test_cached_steps_equal_one_pass(cell_type, std):
    model = mixture(cell_type=cell_type, num_hidden_layers=2, initial_state_std=std)
    inputs = {**model.draw_inputs(5), "class_labels": LABELS}
    with torch.no_grad():
        whole = model(input_ids=IDS, **inputs).logits
        state, steps = None, []
        for position in range(7):
            given = inputs if position % 2 == 0 else {}  # a state knows its classes
            output = model(input_ids=IDS[:, position : position + 1], cache=state, use_cache=True, **given)
            state = output[CACHE_NAME]
            assert state.get_seq_length() == position + 1 and torch.equal(state.class_labels, LABELS)
            steps.append(output.logits)
        # Rows repeat and drop.
        rows = torch.tensor([4, 0, 0, 2])
        halves = model(input_ids=IDS[:, :3], use_cache=True, **inputs)[CACHE_NAME]
        halves.reorder_cache(rows)
        rest = model(input_ids=IDS[rows, 3:], cache=halves).logits
    torch.testing.assert_close(torch.cat(steps, 1), whole, atol=1e-5, rtol=0)
    torch.testing.assert_close(rest, whole[rows, 3:], atol=1e-5, rtol=0)


def test_latents_are_the_initial_state_in_units_of_its_standard_deviation():
    model = mixture(2, initial_state_std=2.0, num_hidden_layers=2)
    latents = torch.randn(5, 2, 2, 6)  # of hidden and cell state, for each layer
    labels = LABELS % 2
    with torch.no_grad():
        logits = model(input_ids=IDS, class_labels=labels, latents=latents).logits
        for row, label in enumerate(labels.tolist()):
            own = model.parts[label]
            h, c = (2.0 * latents[row, state][:, None] for state in (0, 1))
            hidden, _ = own.rnn(own.embed_tokens(IDS[row : row + 1]), (h, c))
            torch.testing.assert_close(logits[row], own.lm_head(hidden)[0], atol=1e-5, rtol=0)
    drawn = model.draw_inputs(20000)["latents"]
    assert drawn.shape == (20000, 2, 2, 6) and float(drawn.std()) == pytest.approx(1, abs=0.01)
    assert mixture(2, cell_type="gru", initial_state_std=1.0).draw_inputs(3)["latents"].shape == (3, 1, 1, 6)


def test_what_a_mixture_reads_follows_from_its_configuration():
    kinds = {(1, 0.0): (), (1, 4.0): ("latents",), (2, 0.0): ("class_labels",), (2, 4.0): ("class_labels", "latents")}
    for (num_classes, std), names in kinds.items():
        known = capabilities_of(mixture(num_classes, initial_state_std=std))
        assert known.row_inputs == names and known.prompts
        assert known.likelihood == ("bound" if std else "exact")
    assert mixture(1).draw_inputs(4) == {}
    assert mixture(3).config.id2label == {label: f"LABEL_{label}" for label in range(3)}
    assert MixtureGeneratorConfig(num_classes=2, id2label={0: "bad", 1: "good"}).id2label == {0: "bad", 1: "good"}
    torch.manual_seed(0)
    counts = mixture().draw_inputs(6000)["class_labels"].bincount(minlength=K)
    assert chi_square_p(counts, torch.full((K,), 1 / K)) > 1e-3
    shares = [0.5, 0.0, 0.5]
    counts = mixture(class_probabilities=shares).draw_inputs(6000)["class_labels"].bincount(minlength=K)
    assert chi_square_p(counts, torch.tensor(shares)) > 1e-3


def test_one_class_is_the_recurrent_generator():
    model, engine = mixture(1), RolloutEngine(7, BOS, PAD, EOS)
    single = part(model, 0)
    drawn = []
    for generator in (model, single):
        torch.manual_seed(0)
        drawn.append(engine.sample(generator, 40))
    assert torch.equal(drawn[0].sequences, drawn[1].sequences)
    torch.testing.assert_close(engine.score(model, drawn[0]), engine.score(single, drawn[0]))


@pytest.mark.parametrize("std", (0.0, 1.0))
def test_a_score_is_what_was_recorded_while_the_sample_was_drawn(std, monkeypatch):
    model, engine = mixture(initial_state_std=std, num_hidden_layers=2), RolloutEngine(7, BOS, PAD, EOS)
    samples, recorded = recorded_samples(engine, model, 60, monkeypatch)
    assert samples.inputs["class_labels"].unique().tolist() == [0, 1, 2]
    torch.testing.assert_close(engine.score(model, samples), recorded, atol=1e-5, rtol=1e-5)
    chunk = next(iter(engine.rollout(model, samples, 2)))
    assert torch.equal(chunk.samples.inputs["class_labels"], samples.inputs["class_labels"][chunk.row])


def test_samples_of_a_class_follow_its_generator():
    model, engine, known = mixture(2, 3, seed=1), RolloutEngine(3, BOS, PAD, EOS), all_sequences(3, 3, EOS)
    torch.manual_seed(0)
    labels = torch.arange(8000) % 2
    samples = engine.sample(model, 8000, inputs={"class_labels": labels})
    tables = []
    for label in (0, 1):
        probabilities = exact_logps(part(model, label), known).sum(1).exp().detach()
        drawn = samples.sequences[labels == label]
        counts = (drawn[:, None] == known.sequences[None]).all(-1).sum(0)
        assert counts.sum() == 4000 and chi_square_p(counts, probabilities) > 1e-3
        tables.append(probabilities)
    assert (tables[0] - tables[1]).abs().sum() > 0.2, "the classes differ"


@pytest.mark.parametrize("decoding", DECODING)
def test_generate_with_and_without_cache(decoding):
    model = mixture(seed=1, std=1.5, initial_state_std=1.0)
    prompts = torch.tensor([[1, 4], [1, 7], [1, 3]])
    outputs = []
    for use_cache in (True, False):
        torch.manual_seed(0)
        options = {"max_new_tokens": 9, "min_new_tokens": 6, "use_cache": use_cache, **DECODING[decoding]}
        outputs.append(model.generate(prompts, return_dict_in_generate=True, output_logits=True, **options))
    cached, uncached = outputs
    assert torch.equal(cached.sequences, uncached.sequences)
    for with_cache, without in zip(cached.logits, uncached.logits, strict=True):
        torch.testing.assert_close(with_cache, without, atol=1e-5, rtol=0)


@pytest.mark.parametrize("beams", (1, 3))
def test_generate_on_left_padded_prompts_of_several_classes(beams):
    model = mixture(seed=1, std=1.5, eos_token_id=None)
    ids, mask = pad(PROMPTS, "left", value=8)  # not the pad id: only the mask may tell
    labels = torch.tensor([2, 0, 1])
    options = {"do_sample": False, "num_beams": beams, "max_new_tokens": 6, "pad_token_id": 0}
    output = model.generate(ids, attention_mask=mask, class_labels=labels, **options)[:, ids.shape[1] :]
    expected = [best_continuation(part(model, int(labels[row])), PROMPTS[row], 6, beams) for row in range(3)]
    assert output.tolist() == expected
    same = [best_continuation(part(model, 0), prompt, 6, beams) for prompt in PROMPTS]
    assert same != expected


def test_generate_draws_a_class_for_each_sequence_and_one_for_the_beams_of_a_prompt():
    model = mixture(eos_token_id=None)
    with torch.no_grad():  # each class writes a token of its own
        for label, own in enumerate(model.parts):
            own.lm_head.bias.zero_()
            own.lm_head.bias[5 + label] = 100.0
    torch.manual_seed(0)
    options = {"max_new_tokens": 2, "pad_token_id": 0}
    several = model.generate(do_sample=True, num_return_sequences=60, **options)
    assert several.shape == (60, 3) and (several[:, 1] == several[:, 2]).all()
    assert several[:, 1].unique().tolist() == [5, 6, 7]
    firsts = [model.generate(num_beams=3, num_return_sequences=3, do_sample=False, **options) for _ in range(20)]
    assert {row[0, 1].item() for row in firsts} == {5, 6, 7}
    given = torch.tensor([1, 1, 0, 2])
    assert (model.generate(class_labels=given, do_sample=True, **options)[:, 1:] == 5 + given[:, None]).all()
    # A state has the classes of its sequences.
    first = model.generate(class_labels=given, do_sample=True, return_dict_in_generate=True, **options)
    again = model.generate(first.sequences, **{CACHE_NAME: first[CACHE_NAME]}, do_sample=True, **options)
    assert (again[:, 1:] == 5 + given[:, None]).all()


def test_the_pipeline_writes_texts_of_a_class(tmp_path):
    tokenizer = word_tokenizer(LINES)
    model = mixture(2, len(tokenizer))
    model.generation_config.max_new_tokens = 3
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    writer = pipeline("text-generation", model=str(tmp_path))
    assert writer("a dog", do_sample=True)[0]["generated_text"].startswith("a dog")
    with torch.no_grad():
        for label, word in enumerate(("sits", "runs")):
            writer.model.parts[label].lm_head.bias[tokenizer.convert_tokens_to_ids(word)] = 100.0
    text = writer("a dog", class_labels=torch.tensor([1]))[0]["generated_text"]
    assert text == "a dog runs runs runs"


def test_save_and_reload(tmp_path):
    model = mixture(embedding_size=6, tie_word_embeddings=True, class_probabilities=[0.2, 0.3, 0.5])
    model.save_pretrained(tmp_path)
    for auto_class in (AutoModel, AutoModelForCausalLM):
        loaded = auto_class.from_pretrained(tmp_path).eval()
        assert type(loaded) is MixtureGeneratorForCausalLM and list(loaded.config.class_probabilities) == [
            0.2,
            0.3,
            0.5,
        ]
        with torch.no_grad():
            assert torch.equal(loaded(IDS, class_labels=LABELS).logits, model(IDS, class_labels=LABELS).logits)
        assert all(own.lm_head.weight is own.embed_tokens.weight for own in loaded.parts)
    assert not torch.equal(loaded.parts[0].lm_head.weight, loaded.parts[1].lm_head.weight)
    loaded.resize_token_embeddings(14)
    assert loaded.config.vocab_size == 14 and loaded(IDS, class_labels=LABELS).logits.shape == (5, 7, 14)


def test_the_gradient_of_a_class_is_that_of_its_own_generator():
    model = mixture(2)
    labels = torch.zeros(5, dtype=torch.long)
    model(input_ids=IDS, class_labels=labels, labels=IDS).loss.backward()
    single = part(model, 0)
    single(input_ids=IDS, labels=IDS).loss.backward()
    for own, other in zip(model.parts[0].parameters(), single.parameters(), strict=True):
        torch.testing.assert_close(own.grad, other.grad)
    assert all(parameter.grad is None for parameter in model.parts[1].parameters())
    shared = {id(p) for p in model.parts[0].parameters()} & {id(p) for p in model.parts[1].parameters()}
    assert not shared


def test_wrong_inputs_are_refused_in_a_sentence():
    model, ids = mixture(2), torch.tensor([[1, 4]])
    state = model(input_ids=ids, class_labels=torch.tensor([1]), use_cache=True)[CACHE_NAME]
    one = torch.tensor([0])
    for call, message in (
        (
            lambda: model(ids, class_labels=one + 2),
            r"class_labels has the class 2, and the generator has 2 classes; give",
        ),
        (lambda: model(ids, class_labels=one - 1), r"class_labels has the class -1, .* give numbers from 0 to 1\."),
        (
            lambda: model(ids, class_labels=torch.tensor([0, 1])),
            r"has the shape \(2,\) for 1 sequences; give one class",
        ),
        (lambda: model(ids, class_labels=one, cache=state), "class_labels are not those of the cache; leave them out"),
        (lambda: model(ids, latents=torch.zeros(1, 2, 1, 6)), "latents are given and initial_state_std is 0.0; leave"),
        (
            lambda: mixture(2, initial_state_std=1.0)(ids, latents=torch.zeros(1, 6)),
            r"latents has the shape \(1, 6\);",
        ),
        (lambda: model(ids, labels=ids, logits_to_keep=1), "logits_to_keep is 1; labels need all logits"),
        (lambda: model(), "Give exactly one of input_ids and inputs_embeds"),
        (lambda: model(ids, cache=state, past_key_values=state), "two names of the state; give at most one"),
        (lambda: model.generate(ids, prompt_lookup_num_tokens=2), "prompt_lookup_num_tokens is given to `generate`"),
    ):
        with pytest.raises(ValueError, match=message):
            call()
    for options, message in (
        ({"num_classes": 0}, "num_classes is 0; set it to 1 or more"),
        ({"initial_state_std": -1.0}, "initial_state_std is -1.0; set it to 0 or more"),
        ({"num_classes": 2, "class_probabilities": [0.5, 0.4]}, "give one probability for each class, with the sum 1"),
        ({"num_classes": 2, "class_probabilities": [1.0]}, r"class_probabilities is \[1.0\] and num_classes 2"),
    ):
        with pytest.raises(Exception, match=message):
            MixtureGeneratorConfig(**options)
    with pytest.raises(ValueError, match="class_labels has the class 5"):
        RolloutEngine(4, BOS, PAD, EOS).score(
            model, Samples(torch.ones(1, 4).long(), torch.ones(1, 4).long(), {"class_labels": one + 5})
        )


def test_a_copy_is_independent():
    model = mixture(2)
    other = copy.deepcopy(model)
    with torch.no_grad():
        other.parts[0].lm_head.bias += 1
    assert not torch.equal(model.parts[0].lm_head.bias, other.parts[0].lm_head.bias)
    assert other.row_inputs == model.row_inputs == ("class_labels",)
