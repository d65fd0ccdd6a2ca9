"""A page to play with a trained generator: samples, the scores of its discriminators, and the curves of the run."""

import html
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from huggingface_hub import hf_hub_download
from huggingface_hub.errors import EntryNotFoundError
from transformers import AutoModelForSequenceClassification, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from ..evaluation.classes import names_of_classes
from ..evaluation.discriminators import score_name, score_texts
from ..evaluation.generators import decode, sample_sequences
from ..models import MODELS
from ..sampling.capabilities import capabilities_of
from ..sampling.categorical import check_sampling
from ..utils.files import make_folder, write_text
from ..utils.names import is_hub_name
from ..utils.version import __version__
from .folder import load_run
from .generate import _prompt_ids


MOST_SAMPLES = 50
_INSTALL = "pip install 'hf_textgan[demo]'"


@dataclass
class Discriminator:
    """A player that scores texts, with its tokenizer and the meaning of its score."""

    name: str
    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    meaning: str


class Demo:
    """
    A trained generator with the discriminators that score its texts.

    Args:
        name_or_path (`str`):
            The folder of a run, or a repository on the Hub.
    """

    def __init__(self, name_or_path: str):
        self.name = name_or_path
        self.run = load_run(name_or_path)
        self.capabilities = capabilities_of(self.run.model)
        if "condition_ids" in self.capabilities.row_inputs:
            raise ValueError(f"{name_or_path} writes texts from source texts, for which the page has no field.")
        self.discriminators = self._load_discriminators() if self.run.tokenizer is not None else []

    @property
    def labels(self) -> list[str]:
        """Returns the names of the classes that the generator reads, in the order of their numbers."""
        if "class_labels" not in self.capabilities.row_inputs:
            return []
        return names_of_classes(self.run.model)

    @property
    def takes_prompts(self) -> bool:
        """Returns whether a text can be given to continue."""
        return self.capabilities.prompts and self.run.tokenizer is not None

    @property
    def columns(self) -> list[str]:
        """The heads of the columns of [`~Demo.draw`]."""
        return ["text", *(f"{d.name}: {d.meaning}" for d in self.discriminators)]

    def draw(
        self,
        num_samples: int = 10,
        temperature: float = 1.0,
        seed: int = 0,
        prompt: str = "",
        label: str | None = None,
    ) -> list[list[Any]]:
        """
        Draws texts.

        Args:
            num_samples (`int`, *optional*, defaults to `10`):
                The number of texts, at most [`MOST_SAMPLES`].
            temperature (`float`, *optional*, defaults to `1.0`):
                Below 1 sharpens.
            seed (`int`, *optional*, defaults to `0`):
                Decides the texts.
            prompt (`str`, *optional*):
                The beginning of each text.
            label (`str`, *optional*):
                The class of all texts; by default the generator draws one for each.

        Returns:
            `list[list]`: For each text the text and the score of each discriminator, rounded to 4 places.
        """
        if not 1 <= num_samples <= MOST_SAMPLES:
            raise ValueError(f"num_samples is {num_samples}; set it to a number from 1 to {MOST_SAMPLES}.")
        if seed < 0:
            raise ValueError(f"seed is {seed}; set it to 0 or more.")
        check_sampling(temperature)
        if prompt and not self.takes_prompts:
            raise ValueError(f"The prompt {prompt!r} cannot be continued by {self.name}; leave it out.")
        options: dict[str, Any] = {"prompt": _prompt_ids(self.run, self.name, prompt)} if prompt else {}
        given = None
        if label:
            if label not in self.labels:
                raise ValueError(f"label is {label!r}; choose one of {', '.join(self.labels) or '(none)'}.")
            given = [{"input_ids": [self.run.engine.bos_token_id], "labels": self.labels.index(label)}]
        engine = self.run.engine.at(temperature)
        samples = sample_sequences(self.run.model, engine, num_samples, seed, given=given, **options)
        texts = decode(self.run.tokenizer, samples[:num_samples].sequences)
        scores = [score_texts(d.model, d.tokenizer, texts) for d in self.discriminators]
        return [[text, *(round(column[row], 4) for column in scores)] for row, text in enumerate(texts)]

    def curves(self) -> Path | None:
        """Returns the figure of the curves of the run, if there is one."""
        return find_file(self.name, "curves.png")

    def _load_discriminators(self) -> list[Discriminator]:
        description = find_file(self.name, "run.json")
        players = ["discriminator"]
        if description is not None:
            players = list(json.loads(description.read_text(encoding="utf-8")).get("saved", {}).get("players", {}))
        found = []
        models: list[Any] = list(MODELS)
        own = {model.config_class.model_type: model for model in models}
        for player in players:
            config = find_file(self.name, f"{player}/config.json") if player != "generator" else None
            if config is None:
                continue
            kind = own.get(json.loads(config.read_text(encoding="utf-8")).get("model_type"))
            if kind is None or "AutoModelForSequenceClassification" not in kind.auto_classes:
                continue
            model = AutoModelForSequenceClassification.from_pretrained(
                self.name, subfolder=player, trust_remote_code=False
            ).eval()
            meaning = score_name(model)
            if meaning is not None:
                tokenizer = AutoTokenizer.from_pretrained(self.name, subfolder=player, trust_remote_code=False)
                found.append(Discriminator(player, model, tokenizer, meaning))
        return found


def find_file(name_or_path: str, file: str) -> Path | None:
    """Returns a file of a folder, or of a repository on the Hub; `None` if there is none."""
    if Path(name_or_path).is_dir():
        path = Path(name_or_path) / file
        return path if path.is_file() else None
    try:
        return Path(hf_hub_download(name_or_path, file))
    except EntryNotFoundError:
        return None


def build_page(name_or_path: str) -> Any:
    """
    Builds the page of a trained generator; its `launch()` serves it.

    Args:
        name_or_path (`str`):
            The folder of a run, or a repository on the Hub.

    Returns:
        `gradio.Blocks`

    Raises:
        `ValueError`: If gradio is not installed, or there is no such generator.
    """
    try:
        import gradio  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise ValueError(f"The page needs gradio, which is not installed; run {_INSTALL}.") from error
    demo = Demo(name_or_path)
    title = Path(name_or_path).name

    def draw(num_samples: float, temperature: float, seed: float, prompt: str, label: str) -> list[list[Any]]:
        try:
            return demo.draw(int(num_samples), temperature, int(seed), prompt or "", label or None)
        except ValueError as error:
            raise gradio.Error(_html(str(error)), print_exception=False) from error  # it is shown as HTML

    with gradio.Blocks(title=title, analytics_enabled=False) as page:
        gradio.HTML(f"<h1>{_html(title)}</h1><p>{_html(introduction(demo))}</p>")
        with gradio.Row():
            with gradio.Column(scale=1):
                number = gradio.Slider(1, MOST_SAMPLES, value=10, step=1, label="number of texts")
                temperature = gradio.Slider(
                    0.1, 2.0, value=1.0, step=0.05, label="temperature", visible=demo.capabilities.temperature
                )
                seed = gradio.Number(value=0, precision=0, minimum=0, label="seed")
                prompt = gradio.Textbox(label="beginning of each text", visible=demo.takes_prompts)
                label = gradio.Dropdown(["", *demo.labels], value="", label="class", visible=bool(demo.labels))
                button = gradio.Button("Write", variant="primary")
            with gradio.Column(scale=3):
                # Cells of the type "str" are shown as they are: neither Markdown nor HTML.
                kinds: Any = ["str", *("number" for _ in demo.discriminators)]
                share = 30 // max(1, len(demo.discriminators))  # without widths the text hides the scores
                texts = gradio.Dataframe(
                    headers=demo.columns,
                    datatype=kinds,
                    column_widths=["70%", *(f"{share}%" for _ in demo.discriminators)],
                    interactive=False,
                    wrap=True,
                )
        if (curves := demo.curves()) is not None:
            from PIL import Image

            gradio.Image(Image.open(curves), label="curves of the training", interactive=False)
        fields = [number, temperature, seed, prompt, label]
        button.click(draw, fields, texts, api_name="draw")
        page.load(draw, fields, texts, api_name=False)
    return page


def introduction(demo: Demo) -> str:
    """Returns the sentences above the fields of the page."""
    system = demo.run.record.get("system")
    text = f"Texts of {type(demo.run.model).__name__}" + (f", trained as {system}" if system else "") + "."
    for discriminator in demo.discriminators:
        what = {
            "score": "a score without bounds, higher for text that looks real",
            "probability of real": "its probability that the text is real",
        }[discriminator.meaning]
        text += f" Beside each text stands what the {discriminator.name} says of it: {what}."
    return text + " The same seed gives the same texts. Nothing filters them."


def _html(text: str) -> str:
    return html.escape(text)


def write_space(folder: Path, repository: str) -> None:
    """
    Writes the files of a Space of the Hub that serves the page of a repository.

    Args:
        folder (`Path`):
            The folder to write to; it must be empty or hold an earlier export.
        repository (`str`):
            The repository of the generator on the Hub, as `org/name`.

    Raises:
        `ValueError`: If `repository` is no name on the Hub, or the folder holds something else.
    """
    if not is_hub_name(repository):
        raise ValueError(f"repository is {repository!r}; a Space loads a generator from the Hub, so give org/name.")
    files = {
        "app.py": _APP.format(repository=repository),
        "requirements.txt": f"hf_textgan[demo]>={__version__}\n",
        "README.md": _SPACE_CARD.format(title=repository.rpartition("/")[2], repository=repository),
    }
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"{folder} is a file; name a folder for the Space.")
    others = sorted(path.name for path in folder.iterdir() if path.name not in files) if folder.is_dir() else []
    if others:
        raise ValueError(f"{folder} holds {others[0]}, which is no file of a Space; name an empty folder.")
    make_folder(folder)
    for name, text in files.items():
        write_text(folder / name, text)


_APP = '''"""The page of {repository}: texts with the scores of its discriminators."""

from hf_textgan.runs.demo import build_page


build_page("{repository}").launch()
'''
_SPACE_CARD = """---
title: {title}
sdk: gradio
app_file: app.py
models:
- {repository}
tags:
- hf_textgan
- text-gan
---

Samples of [{repository}](https://huggingface.co/{repository}), a text GAN, with the scores of its discriminator.
"""

__all__ = ["Demo", "MOST_SAMPLES", "build_page", "find_file", "write_space"]
