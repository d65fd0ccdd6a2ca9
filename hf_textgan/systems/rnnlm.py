"""RNNLM: the maximum-likelihood baseline of every system here."""

from .spec import Paper, SystemSpec


SYSTEM = SystemSpec(
    name="rnnlm",
    mode="mle",
    status="experimental",
    paper=Paper(
        title="Recurrent neural network based language model",
        arxiv_id=None,
        bibtex="""@inproceedings{mikolov2010recurrent,
    title     = {Recurrent neural network based language model},
    author    = {Mikolov, Tomas and Karafiat, Martin and Burget, Lukas and Cernocky, Jan and Khudanpur, Sanjeev},
    booktitle = {INTERSPEECH},
    year      = 2010,
}""",
    ),
    players={"generator": ("RecurrentGeneratorConfig", {})},
    objective=("mle", {}),
    training={
        "learning_rate": 1e-2,
        "max_grad_norm": 5.0,
        "pretrain_generator_steps": 18720,  # 120 epochs of 10,000 sequences in batches of 64
        "load_best_model_at_end": True,
    },
    presets={
        "laptop": {"pretrain_generator_steps": 2000},
        "paper": {},
    },
    deviations=(
        "The generator and the schedule are those of SeqGAN's baseline, with an LSTM; the paper has no gates.",
    ),
)
