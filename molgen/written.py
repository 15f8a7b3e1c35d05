"""Numbers that keep the text by which a file gives them."""


class Written(float):
    """A number that a file writes in its own way, as 1.50, +5, 1e3 or 2.0E-07; its text is that of the file."""

    text: str

    def __new__(cls, text: str | float) -> "Written":
        """The number of a text."""
        number = super().__new__(cls, text)
        number.text = str(text)
        return number

    def __str__(self) -> str:
        return self.text
