"""Descriptions of arguments, read from docstrings."""

from hf_textgan.utils.docstrings import argument_descriptions


class Base:
    """
    A base.

    Args:
        size (`int`):
            The size of the base.
        width, height (`int`, *optional*, defaults to `1`):
            A length,
            in metres.

    Example:

        unrelated (`int`):
            Not an argument.
    """


class Derived(Base):
    """
    A derived class.

    Args:
        size (`int`):
            Another size.
        width, height:
            See [`Base`].
        extra (`str`):
            See [`Base`] for more.
    """


class Silent(Derived):
    pass


def test_descriptions_of_a_class_and_its_bases():
    base = {"size": "The size of the base.", "width": "A length, in metres.", "height": "A length, in metres."}
    assert argument_descriptions(Base) == base
    derived = {**base, "size": "Another size.", "extra": "See [`Base`] for more."}
    assert argument_descriptions(Derived) == argument_descriptions(Silent) == derived
    assert argument_descriptions(int) == {}


def test_a_reference_to_the_base_keeps_its_description():
    class Referring(Base):
        """
        A class.

        Args:
            size (`int`):
                See [`Base`].
        """

    assert argument_descriptions(Referring)["size"] == "The size of the base."
