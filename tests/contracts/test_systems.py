"""The contract of every system: its record is sound, and a run trains, saves, resumes and reloads."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModel, AutoModelForCausalLM, AutoModelForSequenceClassification, AutoTokenizer, pipeline

from hf_textgan import OBJECTIVES, SYSTEMS, AdversarialConfig, get_system, models
from hf_textgan.cli.arguments import parse_train_arguments
from hf_textgan.cli.main import main
from hf_textgan.data.caption_grammar import CAPTION_COLUMNS
from hf_textgan.sampling import capabilities_of
from hf_textgan.systems.spec import Copy, config_fields


torch.set_num_threads(1)

# The fast suite trains the first system of each mode, and those whose data have labels or sources.
FAST = {next(name for name in SYSTEMS if SYSTEMS[name].mode == spec.mode) for spec in SYSTEMS.values()}
FAST |= {name for name, spec in SYSTEMS.items() if spec.needs}
# Sizes that make a run of every phase take seconds.
TINY = {
    "generator.hidden_size": 8,
    "generator.embedding_size": 8,
    "discriminator.window_sizes": [1, 2],
    "discriminator.num_filters": [4, 4],
    "discriminator.hidden_size": 8,
    "discriminator.num_blocks": 1,
    "discriminator.layer_sizes": [8],
    "generator.num_blocks": 1,
    "generator.layer_sizes": [8],
    "autoencoder.hidden_size": 8,
    "autoencoder.embedding_size": 8,
    "num_rollouts": 2,
    "discriminator_steps": 1,
    "generator.head_size": 4,
    "discriminator.num_representations": 2,
    "discriminator.embedding_size": 8,
}
CLASSES = ("animals", "people", "things", "vehicles")  # of the captions
COLUMN_OF = {"labels": "label_column", "conditions": "source_column"}  # of the grammar, for what a system needs
STEPS_OF = {
    "pretrain_generator": "pretrain_generator_steps",
    "pretrain_discriminator": "pretrain_discriminator_steps",
    "adversarial": "max_steps",
}


def options(system: str, output_dir: Path, **more: object) -> list[str]:
    """The command line of a tiny run of `system`, with those of the options above that it has."""
    spec = get_system(system)
    objective = OBJECTIVES[spec.objective[0]]
    phases = objective().updates()
    steps = {option: 3 if phase in phases else 0 for phase, option in STEPS_OF.items()}
    values = {
        "output_dir": output_dir,
        "dataset_name": "grammar",
        **{option: next(iter(CAPTION_COLUMNS[option])) for option in map(COLUMN_OF.get, spec.needs)},
        "grammar_train_size": 64,
        "grammar_eval_size": 16,
        "per_device_train_batch_size": 8,
        "eval_num_samples": 8,
        "eval_steps": 3,
        "save_steps": 3,
        "disable_tqdm": True,
        **steps,
        **more,
    }
    for name, value in TINY.items():
        player, dot, key = name.partition(".")
        if dot and (player not in spec.players or isinstance(spec.players[player], Copy)):
            continue
        known = config_fields(getattr(models, spec.player(player)[0])) if dot else objective.__dataclass_fields__
        if (key if dot else name) in known:
            values[name] = value
    return ["train", system, *(word for name, value in values.items() for word in (f"--{name}", str(value)))]


@pytest.mark.parametrize("name", SYSTEMS)
def test_record_names_only_what_exists(name: str) -> None:
    spec = SYSTEMS[name]
    assert spec.name == name
    assert spec.paper.title in spec.paper.bibtex.replace("{", "").replace("}", "")
    assert {"laptop", "paper"} <= set(spec.presets)
    training = set(AdversarialConfig.__dataclass_fields__)
    assert set(spec.training) <= training
    spec.build_objective()
    for preset in spec.presets:
        # The parser knows every option, or it would raise.
        arguments = parse_train_arguments([name, "--preset", preset, "--output_dir", "unused", "--use_cpu"])
        assert arguments.system is spec
    models_by_name = spec.build_players({}, {"vocab_size": 11, "sequence_length": 7, "num_classes": 2})
    assert list(models_by_name) == list(spec.players)
    for model in models_by_name.values():
        assert getattr(model.config, "vocab_size", 11) == 11  # a critic of codes has no symbols


@pytest.mark.parametrize(
    "name", [name if name in FAST else pytest.param(name, marks=pytest.mark.slow) for name in SYSTEMS]
)
def test_run_saves_resumes_and_reloads(name: str, tmp_path: Path) -> None:
    straight, stopped = tmp_path / "straight", tmp_path / "stopped"
    assert main(options(name, straight)) == 0
    total = int(max(straight.glob("checkpoint-*"), key=lambda p: int(p.name[11:])).name[11:])
    assert total == 3 * len(OBJECTIVES[SYSTEMS[name].objective[0]]().updates())

    # The same run in pieces: it is stopped after each phase by the steps it is given, then extended.
    phases = list(OBJECTIVES[SYSTEMS[name].objective[0]]().updates())
    steps = {
        "pretrain_generator": "pretrain_generator_steps",
        "pretrain_discriminator": "pretrain_discriminator_steps",
    }
    later = {steps.get(phase, "max_steps"): 0 for phase in phases[1:]}
    assert main(options(name, stopped, **later)) == 0
    for done in range(2, len(phases) + 1):
        later = {steps.get(phase, "max_steps"): 0 for phase in phases[done:]}
        assert main([*options(name, stopped, **later), "--resume"]) == 0

    folders = [Path(".")] + [Path(player) for player in SYSTEMS[name].players if player != "generator"]
    for folder in folders:
        expected = load_file(straight / folder / "model.safetensors")
        resumed = load_file(stopped / folder / "model.safetensors")
        assert expected.keys() == resumed.keys()
        for key in expected:
            assert torch.equal(expected[key], resumed[key]), (folder, key)

    # Nothing outside the checkpoints needs unpickling.
    pickles = [p for p in straight.rglob("*") if p.suffix in (".bin", ".pt", ".pth", ".pkl")]
    assert all("checkpoint-" in str(p) for p in pickles)

    one_shot = capabilities_of(AutoModel.from_pretrained(straight)).sampling == "one-shot"
    check_whole_sequences(straight) if one_shot else check_language_model(straight)
    for player in SYSTEMS[name].players:
        check_player(straight, player)


def check_language_model(folder: Path) -> None:
    generator = AutoModelForCausalLM.from_pretrained(folder)
    assert type(AutoModel.from_pretrained(folder)) is type(generator)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    ids = tokenizer("a", return_tensors="pt").input_ids
    assert ids[0, 0] == tokenizer.bos_token_id
    generated = generator.generate(ids, do_sample=True)
    assert generated.shape[1] <= 2 + generator.generation_config.max_new_tokens
    assert generator.generation_config.top_k == 0
    text = pipeline("text-generation", model=str(folder))("a", do_sample=False)[0]["generated_text"]
    assert text.startswith("a")


def check_whole_sequences(folder: Path) -> None:
    generator = AutoModel.from_pretrained(folder).eval()
    sequences = generator.generate(num_samples=5)
    assert sequences.shape == (5, generator.config.sequence_length)
    texts = AutoTokenizer.from_pretrained(folder).batch_decode(sequences, skip_special_tokens=True)
    assert all("<" not in text for text in texts)
    # The same commands work for them.
    assert main(["generate", str(folder), "--num_samples", "3"]) == 0
    assert main(["evaluate", str(folder), "--num_samples", "8"]) == 0
    assert {"bleu_2", "self_bleu_2"} <= set(json.loads((folder / "evaluation.json").read_text())["metrics"])


def check_player(folder: Path, player: str) -> None:
    if player == "generator":
        return
    model = AutoModel.from_pretrained(folder, subfolder=player)
    if type(model) in models.MODELS and AutoModelForSequenceClassification in models.MODELS[type(model)]:
        classifier = AutoModelForSequenceClassification.from_pretrained(folder, subfolder=player)
        label = pipeline("text-classification", model=str(folder / player))("a dog is sleeping .")[0]
        if classifier.config.num_labels == 2:
            assert classifier.config.id2label == {0: "fake", 1: "real"}
            assert label["label"] in ("fake", "real")
        elif classifier.config.num_labels > 2:
            assert classifier.config.id2label == {0: "fake", **dict(enumerate(sorted(CLASSES), start=1))}
            assert label["label"] in classifier.config.id2label.values()
        else:
            assert classifier.config.num_labels == 1 and label["label"] == "score"
    length = getattr(model.config, "sequence_length", None)
    if length is not None:
        assert AutoTokenizer.from_pretrained(folder / player).model_max_length == length


def test_any_causal_lm_takes_the_generators_seat(tmp_path: Path) -> None:
    from transformers import GPT2Config, GPT2LMHeadModel

    from hf_textgan import CaptionGrammar
    from hf_textgan.data.tokenizers import word_tokenizer

    tokenizer = word_tokenizer(CaptionGrammar().sample(80, seed=0))
    config = GPT2Config(vocab_size=len(tokenizer) + 3, n_positions=32, n_embd=8, n_layer=1, n_head=2)
    GPT2LMHeadModel(config).save_pretrained(tmp_path / "gpt2")
    tokenizer.save_pretrained(tmp_path / "gpt2")
    before = load_file(tmp_path / "gpt2" / "model.safetensors")

    words = options("seqgan", tmp_path / "run", generator_name_or_path=tmp_path / "gpt2")
    kept = [i for i in range(0, len(words) - 2, 2) if not words[i + 2].startswith("--generator.")]
    words = words[:2] + [word for i in kept for word in words[i + 2 : i + 4]]
    assert main(words) == 0
    reloaded = AutoModelForCausalLM.from_pretrained(tmp_path / "run")
    assert isinstance(reloaded, GPT2LMHeadModel)
    after = load_file(tmp_path / "run" / "model.safetensors")
    assert before.keys() == after.keys()
    assert not torch.equal(before["transformer.wte.weight"], after["transformer.wte.weight"])
    discriminator = AutoModel.from_pretrained(tmp_path / "run", subfolder="discriminator")
    assert discriminator.config.vocab_size == len(tokenizer) + 3  # the generator may draw symbols without a text


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: get_system("seqgam"), r"There is no system called 'seqgam'; did you mean 'seqgan'\?"),
        (
            lambda: get_system("seqgan").build_objective(num_rolouts=3),
            r"There is no hyperparameter of seqgan called 'num_rolouts'; did you mean 'num_rollouts'\?",
        ),
        (
            lambda: get_system("seqgan").build_player("generator", {"hiden_size": 3}),
            r"There is no option of the generator of seqgan called 'hiden_size'; did you mean 'hidden_size'\?",
        ),
        (
            lambda: get_system("seqgan").build_player("critic"),
            r"There is no player of seqgan called 'critic'; choose one of discriminator, generator\.",
        ),
        (
            lambda: get_system("seqgan").preset("laptp"),
            r"There is no preset of seqgan called 'laptp'; did you mean 'laptop'\?",
        ),
    ],
)
def test_unknown_names_are_errors(call, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
