"""
Renders the model card of each system to model_cards/, from its record and from what benchmarks/results has of it.

    python docs/render_cards.py            # writes the cards
    python docs/render_cards.py --check    # changes nothing; fails if a card is stale
"""

import argparse
import sys
from pathlib import Path

from huggingface_hub import ModelCardData
from measured import Measurement, measurements
from render_systems import MODES, ROOT, STATUS, paper, write_or_check
from transformers import AutoModel

from hf_textgan import models
from hf_textgan.evaluation.descriptions import describe_metric
from hf_textgan.sampling.capabilities import capabilities_of
from hf_textgan.systems import SYSTEMS, SystemSpec
from hf_textgan.trainer.card_facts import CardFacts
from hf_textgan.trainer.model_card import usage
from hf_textgan.trainer.saved_models import auto_class_name
from hf_textgan.utils.escaping import code_block, code_span, markdown_table


CARDS = ROOT / "model_cards"


def render_all() -> dict[Path, str]:
    """Returns the text of each card, and of their index, by its path."""
    found = measurements()
    cards = {CARDS / f"{name}.md": card(system, found) for name, system in SYSTEMS.items()}
    return {**cards, CARDS / "README.md": index(found)}


def index(found: list[Measurement]) -> str:
    """Returns the page that lists the cards."""
    rows = [
        (
            f"[`{name}`]({name}.md)",
            MODES[system.mode],
            system.status,
            ", ".join(f"[{m.title}]({name}.md#measured)" for m in found if name in m.systems) or "nothing yet",
        )
        for name, system in SYSTEMS.items()
    ]
    return "\n\n".join(
        [
            "<!-- Rendered by `make cards`. -->",
            "# Model cards of the systems",
            "A card says what a system is, how its models are used, what was measured of it here, and its limits. The "
            "card of a trained model is README.md in the folder of its run: every save writes it from the files of "
            "the run.",
            markdown_table(("system", "mode", "status", "measured"), rows) + "\n",
        ]
    )


def card(system: SystemSpec, found: list[Measurement]) -> str:
    """Returns the card of a system."""
    config_class = getattr(models, system.player("generator")[0])
    generator = model_class(config_class)
    known = capabilities_of(generator)
    causal = known.sampling == "autoregressive" and known.prompts
    data = ModelCardData(
        library_name="transformers",
        pipeline_tag="text-generation" if causal else None,
        license="apache-2.0",
        tags=["hf_textgan", "text-gan", system.name, system.mode],
    )
    kinds = {"autoregressive": "token by token", "encoder-decoder": "token by token for a source text"}
    writes = kinds.get(known.sampling, "all at once, from random numbers")
    players = [name for name in system.players if name != "generator"]
    together = f"; it is trained together with {' and '.join(map(code_span, players))}" if players else ""
    own = [m for m in found if system.name in m.systems]
    sections = [
        f"<!-- Rendered from hf_textgan/systems/{system.name}.py and benchmarks/results by `make cards`. -->",
        f"# {system.name}",
        f"Models of the system `{system.name}` ({MODES[system.mode]}) follow {paper(system)}. The generator "
        f"(`{generator.__name__}`) writes a text {writes}{together}.",
        f"Status: {STATUS[system.status]}.",
        f"No weights of this system are published. [The page of the system](../docs/systems/{system.name}.md) has its "
        "players, hyperparameters and presets.",
        "## Train and use",
        code_block(
            [
                f"textgan train {system.name} --dataset_name grammar --preset laptop --output_dir runs/{system.name}",
                f"textgan generate runs/{system.name} --num_samples 10",
                f"textgan evaluate runs/{system.name}",
            ]
        ),
        *usage(_facts(system), f"runs/{system.name}")[1:2],
        "## Measured",
        *([part for m in own for part in measured(m)] or ["Nothing was measured of this system yet."]),
        "## Limits",
        "\n".join(f"- {sentence}" for sentence in limits(system, own)),
        "## Deviations from the paper",
        "\n".join(f"- {sentence}" for sentence in system.deviations) or "None is known.",
        "## Citation",
        code_block(system.paper.bibtex.splitlines(), "bibtex"),
    ]
    return f"---\n{data.to_yaml(line_break=chr(10))}\n---\n" + "\n\n".join(sections) + "\n"


def model_class(config_class: type) -> type:
    """Returns the class of the models of a configuration."""
    return AutoModel._model_mapping[config_class]


def _facts(system: SystemSpec) -> CardFacts:
    """Returns the facts of a saved run of a system that its example of use reads."""
    players = {}
    for name in system.players:
        config_class = getattr(models, system.player(name)[0])
        model = model_class(config_class)
        players[name] = {"model_type": config_class.model_type, "auto_class": auto_class_name(model, config_class)}
    known = capabilities_of(model_class(getattr(models, system.player("generator")[0])))
    generator = {"sampling": known.sampling, "has_text": True}
    return CardFacts(system.name, {"saved": {"generator": generator, "players": players}})


def measured(measurement: Measurement) -> list[str]:
    """Returns the section of a measurement."""
    rows = [
        (name, *("" if value is None else f"{value:.3f}" for value in values))
        for name, values in measurement.rows.items()
    ]
    described = {key: describe_metric(key) for key in measurement.columns}
    meanings = [f"- `{key}`: {text}" for key, text in described.items() if text is not None]
    return [
        f"### {measurement.title}",
        markdown_table(("model", *(f"`{key}`" for key in measurement.columns)), rows),
        measurement.conditions,
        "\n".join(meanings),
        f"Command: `{measurement.command}`. Raw numbers: "
        f"[{measurement.file}](../benchmarks/results/{measurement.file}). "
        f"[What follows from it](../docs/results/{measurement.page}).",
    ]


def limits(system: SystemSpec, own: list[Measurement]) -> list[str]:
    """Returns the limits of what is known of a system."""
    sentences = []
    if own:
        sentences.append("Each measurement above is of one training seed: it speaks of the models that were trained.")
    if "paper" in system.presets or not system.presets:
        sentences.append("The published setting was not run at full size, and no published result is claimed.")
    sentences.append("Human judgement was not measured.")
    sentences.append("A model writes what its training text suggests, which may be wrong or offensive.")
    return sentences


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="change nothing; fail if a card is stale")
    return write_or_check(render_all(), CARDS, parser.parse_args(argv).check)


if __name__ == "__main__":
    sys.exit(main())
