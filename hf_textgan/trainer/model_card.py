"""The model card of a run: README.md of its folder, with no number that the JSON files of the folder do not have."""

import hashlib
import logging
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from huggingface_hub import EvalResult, ModelCard, ModelCardData

from ..evaluation.descriptions import SUMMARY_METRICS, describe_metric, is_of_held_out_text
from ..utils.escaping import code_block, code_span, markdown_table, markdown_text, printable
from ..utils.files import write_text
from ..utils.names import is_hub_name
from ..utils.version import __version__
from .card_facts import CardFacts, SystemFacts, evaluation_metrics, read_facts


logger = logging.getLogger(__name__)

CARD_FILE = "README.md"
RENDERED_FILE = "README.rendered.md"  # the card of a folder whose README.md was changed
# The metadata of a card that a user may give; what else `Trainer.create_model_card` takes follows from the run.
METADATA = ("language", "license", "tags", "model_name", "repository")
_MARKER = re.compile(r"^<!-- Rendered by hf_textgan .*? sha256:([0-9a-f]{64}) -->\n", re.MULTILINE)
_LONGEST_SAMPLE = 500  # characters of a sample on the card
_LIBRARY = "hf_textgan"


# ---- Writing --------------------------------------------------------------------------------------------------------


def write_model_card(
    folder: Path, system: SystemFacts | None = None, target: Path | None = None, **metadata: Any
) -> Path:
    """
    Writes the card of a saved run from the files of its folder. A README.md that this function did not write, or that
    was changed since, is kept; the card then goes to README.rendered.md beside it.

    Args:
        folder (`Path`):
            The folder with the saved models.
        system ([`SystemFacts`], *optional*):
            What the record of the system and the arguments of the run add.
        target (`Path`, *optional*):
            A folder with those files that are published, for whose card the README.md goes there.
        metadata:
            `license`, `language`, `tags` (further ones), `model_name`, and `repository`, the name on the Hub in the
            examples. Those of the card that is replaced are kept where they are not given.

    Returns:
        `Path`: the file that was written.

    Raises:
        `ValueError`: If the folder has no description of saved models, or there is no such metadata.
    """
    unknown = next((name for name in metadata if name not in METADATA), None)
    if unknown is not None:
        raise ValueError(
            f"create_model_card was given {unknown}={metadata[unknown]!r}, but a card takes it from the run; leave it "
            f"out and give {', '.join(METADATA)} alone."
        )
    facts = read_facts(folder, target)
    if not facts.saved:
        raise ValueError(f"{folder} has no description of its models in run.json; save them again with save_model().")
    path = folder / CARD_FILE
    old = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else None
    if old is not None and is_rendered(old):
        metadata = {**_kept(old), **{name: value for name, value in metadata.items() if value is not None}}
    text = render_card(facts, system, **metadata)
    if target is not None:
        path = target / CARD_FILE
        write_text(path, text if old is None or is_rendered(old) else old)
        return path
    if old is not None and not is_rendered(old):
        path = folder / RENDERED_FILE
        if path.is_file() and not is_rendered(path.read_text(encoding="utf-8", errors="replace")):
            logger.warning(f"{folder / CARD_FILE} and {path} are not as they were rendered, so both are kept.")
            return folder / CARD_FILE
        logger.warning(f"{folder / CARD_FILE} is not as it was rendered, so it is kept; the new card is {path}.")
    write_text(path, text)
    return path


def update_card(folder: Path, write: Callable[[Path], Any] = write_model_card) -> None:
    """
    Writes the card of a folder anew after something else was saved to it. What was saved counts: a card that cannot be
    written, because a file of the folder is damaged, is a warning.
    """
    try:
        write(folder)
    except Exception as error:  # whatever a damaged file leads to
        reason = " ".join(str(error).split())[:300]
        logger.warning(
            f"The model card of {folder} was not written ({type(error).__name__}: {reason}); mend or remove the file "
            "that it comes from, and save again."
        )


def is_rendered(text: str) -> bool:
    """Returns whether a card is as [`render_card`] made it."""
    match = _MARKER.search(text)
    return match is not None and match[1] == _digest(text[: match.start()] + text[match.end() :])


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def _kept(text: str) -> dict[str, Any]:
    """Returns the metadata of a rendered card that a user may have given."""
    data = ModelCard(text, ignore_metadata_errors=True).data
    return {name: data.get(name) for name in ("license", "language", "tags") if data.get(name) is not None}


# ---- The card -------------------------------------------------------------------------------------------------------


def render_card(
    facts: CardFacts,
    system: SystemFacts | None = None,
    license: str | None = None,
    language: str | list[str] | None = None,
    tags: str | Sequence[str] | None = None,
    model_name: str | None = None,
    repository: str | None = None,
) -> str:
    """Returns the text of a card; see [`write_model_card`]."""
    repository = repository or facts.arguments.get("hub_model_id")
    name = printable(model_name or (repository or "").rpartition("/")[2] or facts.name) or "model"
    if license is None and system is not None and facts.saved["generator"]["base_model"] is None:
        license = system.dataset.license
    if language is None and system is not None:
        language = system.dataset.language
    data = _metadata(facts, system, name, license, language, [tags] if isinstance(tags, str) else list(tags or []))
    model_id = repository or _local_id(facts)
    sections = [
        f"# {markdown_text(name)}",
        _introduction(facts, system),
        "## How to use",
        *usage(facts, model_id),
        "## Training data",
        *_training_data(facts, system),
        "## Training",
        *_training(facts, system),
        "## Metrics",
        *_metrics(facts, system),
        *(["## Curves", "![metrics and losses over the iterations](curves.png)"] if facts.has_curves else []),
        *_samples(facts),
        "## Limits",
        "\n".join(f"- {sentence}" for sentence in _limits(facts, system)),
        *_paper(system),
        "## Licence",
        _licence(license),
    ]
    head = f"---\n{data.to_yaml(line_break=chr(10))}\n---\n"
    body = "\n\n".join(sections) + "\n"
    marker = f"<!-- Rendered by hf_textgan {__version__} from the files of this folder; a changed card is kept."
    return f"{head}{marker} sha256:{_digest(head + body)} -->\n{body}"


def _metadata(
    facts: CardFacts,
    system: SystemFacts | None,
    name: str,
    license: str | None,
    language: str | list[str] | None,
    tags: list[str],
) -> ModelCardData:
    generator = facts.saved["generator"]
    base = generator["base_model"] if is_hub_name(generator["base_model"] or "") else None
    own = [_LIBRARY, "text-gan", *([system.name, system.mode.replace(" ", "-")] if system is not None else [])]
    # Only what draws one token after another from a prompt works in pipeline("text-generation").
    causal = generator["sampling"] == "autoregressive" and generator["prompts"] and generator["has_text"]
    options: dict[str, Any] = {}
    if base is not None:
        options["base_model_relation"] = "adapter" if generator["adapter"] else "finetune"
    return ModelCardData(
        library_name="peft" if generator["adapter"] else "transformers",
        pipeline_tag="text-generation" if causal else None,
        license=license,
        language=language,
        tags=[*own, *(printable(tag) for tag in tags)],
        base_model=base,
        datasets=[system.dataset.hub_name] if system is not None and system.dataset.hub_name else None,
        model_name=name,
        eval_results=_eval_results(facts, system) or None,
        **options,
    )


def _eval_results(facts: CardFacts, system: SystemFacts | None) -> list[EvalResult]:
    """Returns the entries of the model index: of `textgan evaluate` where it measured these weights."""
    if facts.evaluation:
        measured, values = facts.evaluation, evaluation_metrics(facts.evaluation.get("metrics", {}), "")
        settings = {key: measured.get(key) for key in ("num_samples", "num_references", "temperature", "seed")}
        intervals = measured.get("intervals", {})
    else:
        values, intervals = evaluation_metrics(facts.own_evaluation), {}
        settings = _settings(facts)
    dataset = system.dataset if system is not None else None
    files = dataset.files.values() if dataset is not None else ()
    identity: dict[str, Any] = {f"sha256 of {printable(file['name'])}": file["sha256"] for file in files}
    identity["checksum of the encoded training text"] = facts.run.get("train_data_checksum")
    held_out = "held-out text"
    references = f"{settings['num_references']:,} held-out texts" if settings.get("num_references") else ""
    results = []
    # The metrics of the summary of a run; of a run that has none of them, all.
    for key in [key for key in _ordered(values) if key in SUMMARY_METRICS] or _ordered(values):
        described = describe_metric(key)
        how = [references] if references else []
        if not is_of_held_out_text(key):
            how = [f"{settings['num_samples']:,} samples"] if settings.get("num_samples") else []
            how += [references] if references and described is not None and "held-out" in described.meaning else []
            how += [f"temperature {settings['temperature']:g}"] if settings.get("temperature") else []
        if key in intervals:
            how.append(f"{intervals['confidence']:.0%} interval {intervals[key][0]:.4g} to {intervals[key][1]:.4g}")
        meaning = described.meaning if described is not None else key
        results.append(
            EvalResult(
                task_type="text-generation",
                task_name="Text Generation",
                dataset_type=printable(dataset.kind) if dataset is not None else "text",
                dataset_name=printable(dataset.name) if dataset is not None else "text",
                dataset_config=printable(dataset.config) if dataset is not None and dataset.config else None,
                dataset_split=printable(dataset.eval_split or held_out) if dataset is not None else held_out,
                dataset_args=identity,
                metric_type=key,
                metric_value=values[key],
                metric_name=f"{key}: {meaning} ({', '.join(how)})" if how else f"{key}: {meaning}",
                metric_args={name: value for name, value in settings.items() if value is not None},
            )
        )
    return results


def _settings(facts: CardFacts) -> dict[str, Any]:
    """Returns how the evaluations of the training were made."""
    arguments = facts.arguments
    return {
        "num_samples": arguments.get("eval_num_samples"),
        "num_references": facts.saved.get("num_eval_examples") or None,
        "temperature": arguments.get("temperature") if facts.saved["generator"]["temperature"] else None,
        "seed": arguments.get("eval_seed"),
    }


def _drawn(settings: dict[str, Any]) -> str:
    """Returns how samples were drawn; of a generator without a temperature the seed alone."""
    temperature = settings.get("temperature")
    at = "" if temperature is None else f" at temperature {_number(temperature)}"
    return f"{at} (seed {_number(settings.get('seed'))})"


def _ordered(values: dict[str, float]) -> list[str]:
    """Returns the names of metrics, those of the summary of a run first."""
    return sorted(values, key=lambda k: SUMMARY_METRICS.index(k) if k in SUMMARY_METRICS else len(SUMMARY_METRICS))


def _local_id(facts: CardFacts) -> str:
    """Returns the folder as the user named it, if that does not tell where it lies on one machine."""
    folder = Path(str(facts.arguments.get("output_dir") or facts.name))
    same = folder.name == facts.name and not folder.is_absolute() and ".." not in folder.parts
    return folder.as_posix() if same else facts.name


def _introduction(facts: CardFacts, system: SystemFacts | None) -> str:
    generator, players = facts.saved["generator"], facts.saved["players"]
    own = players["generator"]
    kind = {
        "autoregressive": "writes a text token by token",
        "encoder-decoder": "writes a text token by token for a source text",
        "one-shot": "writes all tokens of a text at once from random numbers",
    }[generator["sampling"]]
    data = f" on {code_span(system.dataset.name)}" if system is not None else ""
    if system is not None:
        paper = markdown_text(system.title)
        linked = f"[{paper}]({system.url})" if system.url else paper
        how = f" as in {linked} ({system.mode})"
    else:
        how = f" with the objective {code_span(str(facts.run.get('objective')))}"
    base = generator["base_model"]
    start = "from scratch" if base is None else f"from the pretrained {code_span(base)}"
    others = [code_span(name) for name in players if name != "generator"]
    return (
        f"A generator ({code_span(own['class'])}, {own['num_parameters']:,} parameters) that {kind}. It was trained "
        f"{start}{data}{how} with `{_LIBRARY}`" + (f", together with its {' and '.join(others)}." if others else ".")
    )


# ---- Use ------------------------------------------------------------------------------------------------------------


def usage(facts: CardFacts, model_id: str) -> list[str]:
    """Returns the examples of use, which run as they stand."""
    generator, players = facts.saved["generator"], facts.saved["players"]
    own = [name for name, player in players.items() if player["model_type"].startswith("textgan_")]
    quoted = _quoted(model_id)
    register = [f"import {_LIBRARY}  # registers the models with the Auto classes"] if own else []
    parts = [
        f"With the package `{_LIBRARY}` installed:" if own else "The models are of `transformers` itself:",
        code_block([*register, *_generator_code(generator, players["generator"], quoted)], "python"),
    ]
    if facts.has_code:
        auto = players["generator"]["auto_class"]
        parts += [
            f"Without `{_LIBRARY}` the code in this repository runs instead. Read it first, and pin the revision:",
            code_block(
                [
                    f"from transformers import {auto}",
                    "",
                    f"generator = {auto}.from_pretrained({quoted}, trust_remote_code=True)",
                ],
                "python",
            ),
        ]
    for name, player in players.items():
        if name != "generator":
            reads = generator["has_text"] and player["auto_class"] == "AutoModelForSequenceClassification"
            parts += [f"The {code_span(name)} lies in a folder of its own:"]
            parts += [code_block([*register, *_player_code(name, player, quoted, reads)], "python")]
    words = _shell(model_id)
    parts += ["On the command line:", code_block([f"textgan generate {words} --num_samples 10"])]
    return parts


def _generator_code(generator: dict[str, Any], player: dict[str, Any], quoted: str) -> list[str]:
    auto, one_shot = player["auto_class"], generator["sampling"] == "one-shot"
    if not generator["has_text"]:
        arguments = "num_samples=5" if one_shot else "num_return_sequences=5"
        return [
            f"from transformers import {auto}",
            "",
            f"generator = {auto}.from_pretrained({quoted}).eval()",
            f"print(generator.generate({arguments}))  # ids: there is no text",
        ]
    lines = [
        f"from transformers import {auto}, AutoTokenizer",
        "",
        f"generator = {auto}.from_pretrained({quoted}).eval()",
        f"tokenizer = AutoTokenizer.from_pretrained({quoted})",
    ]
    if generator["sampling"] == "encoder-decoder":
        lines += ['inputs = tokenizer(["a source text"], return_tensors="pt")', "ids = generator.generate(**inputs)"]
    elif one_shot:
        lines += ["ids = generator.generate(num_samples=5)"]
    else:
        lines += ["ids = generator.generate(num_return_sequences=5)"]
    return [*lines, "print(tokenizer.batch_decode(ids, skip_special_tokens=True))"]


def _player_code(name: str, player: dict[str, Any], quoted: str, reads_text: bool) -> list[str]:
    auto, folder = player["auto_class"], _quoted(name)
    lines = [
        f"from transformers import {auto}{', AutoTokenizer' if reads_text else ''}",
        "",
        f"model = {auto}.from_pretrained({quoted}, subfolder={folder}).eval()",
    ]
    if reads_text:
        lines += [
            f"tokenizer = AutoTokenizer.from_pretrained({quoted}, subfolder={folder})",
            'inputs = tokenizer(["a text"], truncation=True, return_tensors="pt")',
            "print(model(**inputs).logits, model.config.id2label)",
        ]
    return lines


def _quoted(text: str) -> str:
    """Returns a string of Python that cannot end the line or the block of code."""
    return '"' + printable(text).replace("\\", "\\\\").replace('"', '\\"') + '"'


def _shell(text: str) -> str:
    import shlex

    return shlex.quote(printable(text))


# ---- Data and training ----------------------------------------------------------------------------------------------


def _training_data(facts: CardFacts, system: SystemFacts | None) -> list[str]:
    run, rows = facts.run, []
    if system is not None:
        rows.append(("source", system.dataset.description))
        if system.dataset.train_split:
            rows.append(("split", code_span(system.dataset.train_split)))
    number, checksum = run.get("num_train_examples"), run.get("train_data_checksum")
    rows.append(("training texts", f"{number:,}" if isinstance(number, int) else "unknown"))
    held_out = facts.saved.get("num_eval_examples")
    rows.append(("held-out texts", f"{held_out:,}" if held_out else "none"))
    rows.append(("longest text, tokens", str(run.get("max_length"))))
    if isinstance(checksum, int):
        rows.append(("checksum of the encoded training text", f"CRC-32 `{checksum:08x}`"))
    for part, file in (system.dataset.files if system is not None else {}).items():
        sha = code_span(str(file["sha256"]))
        rows.append((code_span(part), f"{code_span(file['name'])}, {file['bytes']:,} bytes, SHA-256 {sha}"))
    return [markdown_table(("", ""), rows)]


def _training(facts: CardFacts, system: SystemFacts | None) -> list[str]:
    run, saved, parts = facts.run, facts.saved, []
    if system is not None and system.command is not None:
        parts += ["This command repeats the run:", code_block([system.command])]
    elif system is not None:
        parts += ["No command repeats the run: its text was given in Python, or it is the MLE baseline of another."]
    phases = [
        (code_span(phase["name"]), f"{phase['iterations']:,}", "; ".join(map(_update, phase["updates"])))
        for phase in run.get("phases", [])
    ]
    if phases:
        parts.append(markdown_table(("phase", "iterations", "updates in an iteration"), phases))
    parts += _hyperparameters(facts, system)
    environment = saved.get("environment", {})
    seconds = facts.seconds.get("seconds")
    rows = [("seed", str(run.get("seed")))]
    if isinstance(seconds, int | float):
        rows.append(("time of the training", f"{seconds:,.0f} seconds, evaluations included"))
    rows += [("processor", code_span(environment.get("CPU", "unknown")))]
    rows += [("graphics processor", code_span(environment.get("GPU", "unknown")))]
    rows += [("processes", str(run.get("world_size")))]
    names = ("hf_textgan", "torch", "transformers", "accelerate", "datasets", "tokenizers", "Python")
    rows += [("versions", ", ".join(f"{n} {code_span(environment[n])}" for n in names if n in environment))]
    if saved.get("commit"):
        rows.append((f"commit of {_LIBRARY}", code_span(saved["commit"])))
    parts.append(markdown_table(("", ""), rows))
    if stopped := facts.metrics.get("stopped"):
        where = f" ({stopped['iteration']:,} of {stopped['of']:,} in its phase)" if "of" in stopped else ""
        reason = markdown_text(str(stopped.get("reason")))
        parts.append(f"The training ended before its last iteration{where}: {reason}.")
    warnings = [
        f"- step {entry.get('step')}: {markdown_text(str(entry['warning']))}"
        for entry in facts.metrics.get("warnings", [])
        if "warning" in entry
    ]
    if warnings:
        parts += ["Warnings of the training:", "\n".join(warnings)]
    return parts


def _update(update: dict[str, Any]) -> str:
    words = f"{code_span(str(update.get('player')))} by {code_span(str(update.get('loss')))}"
    if update.get("repeat", 1) != 1:
        words += f", {update['repeat']} times"
    return words + (f", in each {update['every']}th" if update.get("every", 1) != 1 else "")


def _hyperparameters(facts: CardFacts, system: SystemFacts | None) -> list[str]:
    own = facts.run.get("hyperparameters", {})
    rows = [(code_span(name), _value(value)) for name, value in own.items()]
    rows += [
        (code_span(f"{optimizer}.{name}"), _value(value))
        for optimizer, arguments in facts.run.get("optimizers", {}).items()
        for name, value in arguments.items()
    ]
    names = ("per_device_train_batch_size", "gradient_accumulation_steps", "temperature")
    rows += [(code_span(name), _value(facts.run[name])) for name in names if name in facts.run]
    everything = markdown_table(("hyperparameter", "value"), rows)
    if system is None:
        return [everything]
    parts = [f"All options have the values of the record of {code_span(system.name)}."]
    if system.changed:
        changed = [(code_span(name), _value(value), _value(record)) for name, value, record in system.changed]
        parts = [
            f"Options that differ from the record of {code_span(system.name)}:",
            markdown_table(("option", "this run", "record"), changed),
        ]
    return [*parts, f"<details><summary>All hyperparameters</summary>\n\n{everything}\n\n</details>"]


def _value(value: Any) -> str:
    return "" if value is None else code_span(str(list(value) if isinstance(value, tuple) else value))


# ---- Metrics --------------------------------------------------------------------------------------------------------


def _metrics(facts: CardFacts, system: SystemFacts | None) -> list[str]:
    own = evaluation_metrics(facts.own_evaluation)
    columns = _columns(facts)
    if facts.evaluation:
        columns["`textgan evaluate`"] = evaluation_metrics(facts.evaluation.get("metrics", {}), "")
    if not any(columns.values()):
        return ["The saved models were not evaluated."]
    settings, parts = _settings(facts), []
    if own:
        text = (
            f"Measured at the evaluations of the training on {_number(settings['num_samples'])} samples"
            f"{_drawn(settings)}"
        )
        references = settings["num_references"]
        text += f" and {_number(references)} held-out texts" if references else ", without held-out text"
        parts.append(f"{text}; `metrics.json` has all of them.")
    if facts.evaluation:
        measured = facts.evaluation
        parts.append(
            f"`textgan evaluate` measured this model on {_number(measured.get('num_samples'))} samples"
            f"{_drawn(measured)} and {_number(measured.get('num_references'))} held-out texts; "
            "`evaluation.json` has its values."
        )
    keys = _ordered({key: value for values in columns.values() for key, value in values.items()})
    intervals = facts.evaluation.get("intervals", {})
    rows = []
    for key in keys:
        cells = [f"{values[key]:.4g}" if key in values else "" for values in columns.values()]
        if key in intervals:
            cells[-1] += f" ({intervals[key][0]:.4g} to {intervals[key][1]:.4g})"
        described = describe_metric(key)
        rows.append((code_span(key), *cells, "" if described is None else str(described)))
    parts.append(markdown_table(("metric", *columns, "meaning"), rows))
    parts += _beside_baseline(facts, system)
    return parts


def _columns(facts: CardFacts) -> dict[str, dict[str, float]]:
    """Returns the columns of the table of metrics: the phases before, the saved models, their MLE baseline."""
    evaluations = facts.metrics.get("evaluations", [])
    own = facts.own_evaluation
    columns: dict[str, dict[str, float]] = {}
    if own:
        before: dict[str, dict[str, Any]] = {}
        for entry in evaluations:
            if entry["step"] < own["step"] and entry.get("phase") != own.get("phase"):
                before[str(entry.get("phase"))] = entry
        for phase, entry in before.items():
            columns[f"end of {code_span(phase)} (step {entry['step']})"] = evaluation_metrics(entry)
        if not before and evaluations[0]["step"] < own["step"]:
            columns[f"first evaluation (step {evaluations[0]['step']})"] = evaluation_metrics(evaluations[0])
        columns[f"**this model** (step {own['step']})"] = evaluation_metrics(own)
        if evaluations[-1]["step"] > own["step"]:
            columns[f"end of the training (step {evaluations[-1]['step']})"] = evaluation_metrics(evaluations[-1])
    if facts.baseline:
        columns["MLE baseline"] = evaluation_metrics(facts.baseline)
    return columns


def _beside_baseline(facts: CardFacts, system: SystemFacts | None) -> list[str]:
    """Returns what is known of the model beside its MLE baseline."""
    if system is not None and system.by_likelihood:
        return ["This model is itself trained by maximum likelihood."]
    if not facts.baseline and not facts.comparison:
        return [
            "No MLE baseline was trained beside this model, so nothing here says what the adversarial training is "
            "worth; `--mle_baseline` trains one."
        ]
    parts = []
    if facts.baseline:
        kind = "the same generator" if facts.saved["generator"]["likelihood"] else "an LSTM of as many parameters"
        parts.append(
            f"The MLE baseline is {kind}, trained by maximum likelihood alone on the same text for at most as long; "
            "`mle_baseline/metrics.json` has its values."
        )
    if verdicts := facts.comparison.get("verdicts"):
        rows = [
            (code_span(str(v["first"])), code_span(str(v["second"])), markdown_text(str(v["outcome"])))
            for v in verdicts
        ]
        parts += [
            f"Verdicts of `textgan compare` on these models, with its tests in `report/report.json`; they hold for "
            f"{markdown_text(str(verdicts[0]['scope']))}:",
            markdown_table(("first", "second", "verdict on the first"), rows),
        ]
    return parts


def _number(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return "an unknown number of"
    return f"{value:,}" if isinstance(value, int) else f"{value:.4g}"


# ---- Samples, limits, paper -----------------------------------------------------------------------------------------


def _samples(facts: CardFacts) -> list[str]:
    if not facts.samples:
        return []
    settings = _settings(facts)
    texts = [text if len(text) <= _LONGEST_SAMPLE else f"{text[:_LONGEST_SAMPLE]} ..." for text in facts.samples]
    return [
        "## Samples",
        f"The first {len(texts)} samples of the evaluation at step {facts.own_evaluation.get('step')}"
        f"{_drawn(settings)}, without selection:",
        code_block(texts, "text"),
    ]


def _limits(facts: CardFacts, system: SystemFacts | None) -> list[str]:
    generator = facts.saved["generator"]
    measured = {**evaluation_metrics(facts.own_evaluation)}
    measured.update(evaluation_metrics(facts.evaluation.get("metrics", {}), "") if facts.evaluation else {})
    limits = ["The model comes from one training seed, so nothing here holds for its system in general."]
    if system is None or system.dataset.kind not in ("grammar", "oracle"):
        limits.append(
            "It writes what its training text suggests, which may be wrong or offensive; nothing filters it, and this "
            "was not measured."
        )
    if not facts.saved.get("num_eval_examples"):
        limits.append("There was no held-out text, so nothing says how it predicts text that it has not seen.")
    if generator["likelihood"] is None:
        limits.append("It has no likelihood, so neither perplexity nor NLL of a text can be computed.")
    if not generator["prompts"]:
        limits.append("It cannot continue a prompt.")
    if any(re.fullmatch(r"(self_)?bleu_\d+", key) for key in measured):
        limits.append("BLEU and Self-BLEU compare n-grams alone: they see neither meaning nor facts.")
    missing = ["human judgement"]
    missing += [] if "copied" in measured else ["how many texts are copied from the training text"]
    temperature = _settings(facts)["temperature"]
    missing += [f"other temperatures than {temperature:g}"] if isinstance(temperature, int | float) else []
    if not facts.evaluation.get("intervals"):
        missing.append("the spread of the metrics over samples and training seeds")
    limits.append(f"Not measured: {', '.join(missing)}.")
    return limits


def _paper(system: SystemFacts | None) -> list[str]:
    if system is None:
        return []
    deviations = "\n".join(f"- {sentence}" for sentence in system.deviations)
    return [
        "## Deviations from the paper",
        deviations or "None is known.",
        "## Citation",
        code_block(system.bibtex.splitlines(), "bibtex"),
    ]


def _licence(license: str | None) -> str:
    code = f"The code of `{_LIBRARY}` is under Apache-2.0."
    if license is not None:
        return f"The weights: {code_span(license)}. {code}"
    return (
        f"No licence of the weights was given; that of the training text, and of a pretrained model, decides. {code} "
        '`trainer.create_model_card(license="...")` sets one.'
    )


__all__ = [
    "CARD_FILE",
    "METADATA",
    "RENDERED_FILE",
    "is_rendered",
    "render_card",
    "update_card",
    "usage",
    "write_model_card",
]
