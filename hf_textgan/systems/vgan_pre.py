"""VGAN-pre: a generator with a latent variable at every step, trained by the variational bound alone."""

from .spec import Paper, SystemSpec


PAPER = Paper(
    title="Text Generation Based on Generative Adversarial Nets with Latent Variable",
    arxiv_id="1712.00170",
    bibtex="""@inproceedings{wang2018text,
    title     = {Text Generation Based on Generative Adversarial Nets with Latent Variable},
    author    = {Wang, Heng and Qin, Zengchang and Wan, Tao},
    booktitle = {PAKDD},
    year      = 2018,
    eprint    = {1712.00170},
    archivePrefix = {arXiv},
}""",
)

# The sizes of the preset `laptop` of SeqGAN and RNNLM, so that the systems can be compared.
LAPTOP_GENERATOR = {
    "generator.embedding_size": 32,
    "generator.hidden_size": 32,
    "generator.latent_size": 16,
    "generator.posterior_size": 32,
    "generator.dropout": 0.0,
}

GENERATOR_DEVIATIONS = (
    "The paper does not say how the latent enters the output; here a tanh layer joins it with the state.",
    "The paper leaves the networks of prior and posterior open; here the prior is linear and the posterior has one"
    " hidden layer of 128 units, and the logarithms of the variances are clamped to [-8, 8].",
    "The LSTM is the usual one with biases; `generator.peephole=True` has the gates of equations 1 to 5.",
    "Latents are drawn from the prior when text is generated, which the paper does not say.",
    "Equations 6 and 10 have the sign of the bound reversed; this is the bound.",
    "The width of the embeddings (300), the batch size (64), the clipping (5) and the number of steps are not"
    " published.",
)

SYSTEM = SystemSpec(
    name="vgan_pre",
    mode="mle",
    status="experimental",
    paper=PAPER,
    players={"generator": ("VariationalGeneratorConfig", {})},
    objective=("variational_bound", {}),
    training={
        "learning_rate": 1e-3,
        "max_grad_norm": 5.0,
        "pretrain_generator_steps": 18720,
        "load_best_model_at_end": True,
    },
    presets={
        "laptop": {"pretrain_generator_steps": 2000, "learning_rate": 1e-2, **LAPTOP_GENERATOR},
        "paper": {},
    },
    deviations=GENERATOR_DEVIATIONS,
)
