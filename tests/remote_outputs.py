"""
Computes what a model says to fixed inputs, with the package and in a process that cannot import it.

As a script, in which hf_textgan cannot be imported, it loads models from the Hub by their own code and compares them.
"""

import inspect
import json
import sys
from pathlib import Path

import torch


def outputs(model) -> dict[str, torch.Tensor]:
    """What a model computes for fixed inputs, and what it generates with a fixed seed."""
    model.eval()
    config, names = model.config, inspect.signature(model.forward).parameters
    length = getattr(config, "sequence_length", None) or 6
    torch.manual_seed(0)
    if "input_ids" in names:
        inputs = {"input_ids": torch.arange(2 * length).reshape(2, length) % config.vocab_size}
    else:
        name = next(iter(names))  # latents or codes
        sizes = (getattr(config, f"{name.removesuffix('s')}_size", None), getattr(config, "code_size", None))
        inputs = {name: torch.randn(2, next(size for size in sizes if size is not None))}
    torch.manual_seed(1)
    with torch.no_grad():
        found = {
            f"forward/{name}": value for name, value in model(**inputs).items() if isinstance(value, torch.Tensor)
        }
    if hasattr(model, "generate"):
        torch.manual_seed(2)
        if "num_samples" in inspect.signature(model.generate).parameters:
            found["generate"] = model.generate(num_samples=3)
        else:
            prompt = inputs["input_ids"][:, :2]
            found["greedy"] = model.generate(prompt, do_sample=False, max_new_tokens=5)
            found["sampled"] = model.generate(prompt, do_sample=True, max_new_tokens=5)
            found["beams"] = model.generate(prompt, do_sample=False, num_beams=2, max_new_tokens=5)
    assert found
    return {**{f"weights/{name}": value for name, value in model.state_dict().items()}, **found}


def compare(plan: list[dict]) -> list[str]:
    """Loads each model of a plan by each of its Auto classes and returns what differs."""
    import transformers

    wrong = []
    for entry in plan:
        expected = torch.load(entry["expected"])
        for auto_class in entry["auto_classes"]:
            model = getattr(transformers, auto_class).from_pretrained(
                entry["repository"], trust_remote_code=True, **entry["options"]
            )
            where = f"{entry['repository']} {entry['options']} {auto_class}"
            if not type(model).__module__.startswith("transformers_modules.org."):
                wrong.append(f"{where}: {type(model)} is not from the repository")
            found = outputs(model)
            if found.keys() != expected.keys():
                wrong.append(f"{where}: {found.keys() ^ expected.keys()}")
            wrong += [f"{where}: {name}" for name in expected if not torch.equal(found[name], expected[name])]
    return wrong


def texts(repository: str, **options) -> list:
    """What the pipeline of a repository writes: prompts of different lengths in one batch, stop strings, a stream."""
    from transformers import TextIteratorStreamer, pipeline

    generate = pipeline("text-generation", model=repository, **options)
    greedy = {"max_new_tokens": 4, "min_new_tokens": 4, "do_sample": False}
    found = [
        generate(["a red", "the old dog"], batch_size=2, **greedy),
        generate("a red", num_return_sequences=2, num_beams=2, **greedy),
        generate("a red", return_full_text=False, **greedy),
    ]
    model, tokenizer = generate.model, generate.tokenizer
    inputs = tokenizer("a red", return_tensors="pt")
    whole = tokenizer.decode(model.generate(**inputs, **greedy)[0], skip_special_tokens=True)
    streamer = TextIteratorStreamer(tokenizer, skip_special_tokens=True)
    model.generate(**inputs, streamer=streamer, **greedy)
    stop = whole.split(" ")[3]  # the second new word
    stopped = model.generate(**inputs, max_new_tokens=4, do_sample=False, stop_strings=[stop], tokenizer=tokenizer)
    found += [whole, "".join(streamer), tokenizer.decode(stopped[0], skip_special_tokens=True)]
    return found


def message(load, *words, **options) -> str:
    """The error of a call."""
    try:
        load(*words, **options)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return "no error"


def main() -> None:
    sys.modules["hf_textgan"] = None  # type: ignore[assignment]
    from transformers import AutoModel, AutoModelForCausalLM, AutoTokenizer

    plan = json.loads(Path(sys.argv[1]).read_text())
    trusted = {"trust_remote_code": True}
    result = {"wrong": compare(plan["models"]), "texts": texts(plan["generator"], **trusted)}
    result["tokenizer"] = type(AutoTokenizer.from_pretrained(plan["generator"], **trusted)).__name__
    result["untrusted"] = message(AutoModel.from_pretrained, plan["generator"])
    result["one-shot"] = message(AutoModelForCausalLM.from_pretrained, plan["one-shot"], **trusted)
    Path(sys.argv[2]).write_text(json.dumps(result))


if __name__ == "__main__":
    main()
