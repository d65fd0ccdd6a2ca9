"""ARAE: a GAN in the code space of an autoencoder of sentences."""

from .spec import Of, Paper, SystemSpec


SYSTEM = SystemSpec(
    name="arae",
    mode="wgan-gp",
    status="experimental",
    paper=Paper(
        title="Adversarially Regularized Autoencoders",
        arxiv_id="1706.04223",
        bibtex="""@inproceedings{zhao2018adversarially,
    title     = {Adversarially Regularized Autoencoders},
    author    = {Zhao, Junbo and Kim, Yoon and Zhang, Kelly and Rush, Alexander M. and LeCun, Yann},
    booktitle = {ICML},
    year      = 2018,
    eprint    = {1706.04223},
    archivePrefix = {arXiv},
}""",
    ),
    players={
        "autoencoder": (
            "RecurrentAutoencoderConfig",
            {
                "embedding_size": 300,
                "hidden_size": 300,
                "padding": "masked",
                "decoder_input": "teacher_forcing",
                "normalize_code": True,
            },
        ),
        # The generator carries the decoder, and codes are states of the encoder.
        "discriminator": ("LatentCriticConfig", {"code_size": Of("autoencoder", "hidden_size")}),
        "generator": (
            "LatentGeneratorConfig",
            {
                "code_size": Of("autoencoder", "hidden_size"),
                "hidden_size": Of("autoencoder", "hidden_size"),
                "embedding_size": Of("autoencoder", "embedding_size"),
            },
        ),
    },
    objective=("arae", {"discriminator_steps": 5, "gradient_penalty": 1.0, "encoder_weight": 0.1, "code_noise": 0.05}),
    training={
        "learning_rate": 1e-4,
        "adam_beta1": 0.5,
        "adam_beta2": 0.999,
        "max_grad_norm": 0.0,
        "player_optimizers": {"autoencoder": {"optim": "sgd", "learning_rate": 1.0, "max_grad_norm": 1.0}},
        "max_length": 16,  # 15 words and the end
        "max_steps": 167_500,  # 15 epochs of 714,667 sentences in batches of 64
        "metric_for_best_model": "jsd_4",
    },
    data={"lowercase": True, "vocab_size": 11_004},
    presets={
        "laptop": {
            "max_steps": 5000,
            "per_device_train_batch_size": 32,
            "learning_rate": 5e-4,  # at 1e-4 the critic lags behind for the whole of a short run
            "generator.layer_sizes": [128, 128],
            "discriminator.layer_sizes": [128, 128],
            "autoencoder.hidden_size": 128,
            "autoencoder.embedding_size": 128,
        },
        "paper": {"penalize_batch_mean": True},
    },
    deviations=(
        "The gradient penalty draws the norm at each example to 1; the official code's critic returns the mean of a"
        " batch, which draws it to the batch size (the preset `paper`).",
        "The critic has no batch normalization, which would couple the examples whose gradients are penalized.",
        "Batches are not sorted by length, and the number of GAN steps per iteration does not grow with the epochs.",
        "PyTorch's LSTM has two biases per gate.",
    ),
)
