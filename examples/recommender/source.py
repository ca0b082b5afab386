"""Made-up readers and books, and a recommender that follows the crowd: the audit's subject.

Three in four readers are young. Young and old like other genres, and a book's fame is its own. The recommender knows
who read what, and scores a book by how often it was read together with the books that a reader has read: "people who
read this also read". That favours famous books and the taste of the many, which is what the audit is to show. Nothing
of it is about real people, and it is the same on every run.
"""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

READERS, BOOKS = 300, 60
GENRES = ("crime", "fantasy", "romance", "science", "history", "poetry")
# How much readers like the genres, in log-odds.
TASTE = {"under 40": (0.8, 1.2, 0.4, 0.0, -1.0, -1.2), "40 and over": (0.4, -1.2, -0.6, 0.4, 1.4, 0.8)}


def table() -> pd.DataFrame:
    """One row for every reader and every book not read yet: the score, and whether the reader came to like the book."""
    rng = np.random.default_rng(2024)
    age = np.where(np.arange(READERS) % 4 == 0, "40 and over", "under 40")
    genre = np.arange(BOOKS) % len(GENRES)
    fame = rng.normal(0, 0.7, BOOKS)
    author = np.where(rng.random(BOOKS) < 1 / (1 + np.exp(fame)), "woman", "man")
    own = rng.normal(0, 1, (READERS, len(GENRES)))
    taste = np.array([TASTE[group] for group in age]) + own
    likes = rng.random((READERS, BOOKS)) < 1 / (1 + np.exp(1.5 - taste[:, genre] - fame))
    read = likes & (rng.random(likes.shape) < 0.5)
    score = recommender(read)
    reader, book = np.nonzero(~read)
    return pd.DataFrame(
        {
            "reader": [f"reader {i}" for i in reader],
            "age": age[reader],
            "book": [f"book {i}" for i in book],
            "genre": np.array(GENRES)[genre[book]],
            "author": author[book],
            "readers": read.sum(axis=0)[book],
            "liked": likes[reader, book].astype(int),
            "score": score[reader, book],
        }
    )


def recommender(read: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Scores by co-occurrence, shape (readers, books) like what was read, from 0 to 1."""
    counts = read.astype(np.int64)
    together = counts.T @ counts
    np.fill_diagonal(together, 0)
    score = counts @ together
    return np.asarray(score / score.max())
