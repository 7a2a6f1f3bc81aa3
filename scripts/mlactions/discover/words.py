"""A task in words: the Hub's own name for it, and the words that are left to search for. Pure."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence

MAX_WORDS = 4
MAX_GAP = 3
"""Other words that may stand between those that name a task."""

_TASKS = """
    audio-classification audio-to-audio automatic-speech-recognition depth-estimation
    document-question-answering feature-extraction fill-mask graph-ml image-classification
    image-feature-extraction image-segmentation image-text-to-text image-to-image image-to-text
    image-to-video keypoint-detection mask-generation object-detection question-answering
    reinforcement-learning robotics sentence-similarity summarization table-question-answering
    tabular-classification tabular-regression text-classification text-generation text-ranking
    text-to-audio text-to-image text-to-speech text-to-video time-series-forecasting
    token-classification translation unconditional-image-generation video-classification
    visual-question-answering voice-activity-detection zero-shot-classification
    zero-shot-image-classification zero-shot-object-detection
"""
TASKS = frozenset(_TASKS.split())
"""The Hub's tasks: https://huggingface.co/tasks."""

_SYNONYMS: Mapping[str, str] = {
    "asr": "automatic-speech-recognition",
    "speech recognition": "automatic-speech-recognition",
    "speech to text": "automatic-speech-recognition",
    "transcription": "automatic-speech-recognition",
    "sentiment analysis": "text-classification",
    "sentiment classification": "text-classification",
    "intent classification": "text-classification",
    "spam detection": "text-classification",
    "toxicity detection": "text-classification",
    "named entity recognition": "token-classification",
    "ner": "token-classification",
    "part of speech tagging": "token-classification",
    "embedding": "sentence-similarity",
    "embeddings": "sentence-similarity",
    "sentence embeddings": "sentence-similarity",
    "semantic search": "sentence-similarity",
    "semantic segmentation": "image-segmentation",
    "instance segmentation": "image-segmentation",
    "panoptic segmentation": "image-segmentation",
    "image captioning": "image-to-text",
    "ocr": "image-to-text",
    "machine translation": "translation",
    "summarisation": "summarization",
    "reranking": "text-ranking",
    "language modeling": "text-generation",
    "language modelling": "text-generation",
    "chat": "text-generation",
    "time series": "time-series-forecasting",
    "forecasting": "time-series-forecasting",
    "image recognition": "image-classification",
    "pose estimation": "keypoint-detection",
    "detection of objects": "object-detection",
    "classification of images": "image-classification",
    "classification of text": "text-classification",
    "classify images": "image-classification",
    "classify text": "text-classification",
    "detect objects": "object-detection",
    "image classifier": "image-classification",
    "text classifier": "text-classification",
    "segmentation": "image-segmentation",
    "summarise": "summarization",
    "summarize": "summarization",
    "transcribe": "automatic-speech-recognition",
    "translate": "translation",
}
_PHRASES: Mapping[str, str] = {**{name.replace("-", " "): name for name in TASKS}, **_SYNONYMS}
_TELLING = frozenset(
    {"captioning", "intent", "ner", "ocr", "pose", "sentiment", "spam", "toxicity"}
)
"""Words of a phrase that are more than the Hub's task says, and that names hold."""

_STOP_WORDS = """
    a an and any best by can data dataset datasets fast find for from good i in is it large model
    models need of on or our set sets small some task tasks that the to tiny train training use
    using want we which with
"""
_IGNORED = frozenset(_STOP_WORDS.split())
_WORD = re.compile(r"[^\W_]+(?:[.+-][^\W_]+)*", re.UNICODE)


def read_task(text: str) -> tuple[str, tuple[str, ...]]:
    """Return the Hub's task that a text names, if it does, and the words to search names for.

    The longest phrase that is a task counts; at most MAX_WORDS other words are kept.
    """
    plain = unicodedata.normalize("NFKC", text).lower()
    words = [word for part in _WORD.findall(plain) for word in _split(part)]
    used, tag = _phrase(words)
    told = [word for at in sorted(used) for word in words[at].split("-") if word in _TELLING]
    rest = [*told, *(word for at, word in enumerate(words) if at not in used)]
    kept = dict.fromkeys(word for word in rest if word not in _IGNORED and len(word) > 1)
    return tag, tuple(kept)[:MAX_WORDS]


def _split(word: str) -> list[str]:
    """Split a task that is written as the Hub does; keep names such as `bge-small` whole."""
    return word.split("-") if word in TASKS else [word]


def _phrase(words: Sequence[str]) -> tuple[frozenset[int], str]:
    """Return which words name a task, and the task: neighbours first, then some with a gap."""
    for length in range(min(len(words), 5), 0, -1):
        for start in range(len(words) - length + 1):
            tag = _PHRASES.get(" ".join(words[start : start + length]).replace("-", " "))
            if tag:
                return frozenset(range(start, start + length)), tag
    return _scattered(words)


def _scattered(words: Sequence[str]) -> tuple[frozenset[int], str]:
    """Find the Hub's words in order with others between them: tabular churn classification."""
    found = []
    for tag in sorted(TASKS):
        parts = tag.split("-")
        for start, word in enumerate(words):
            at = _in_order(words, parts, start) if word == parts[0] else ()
            if len(at) > 1 and at[-1] - start < len(parts) + MAX_GAP:
                found.append((-len(at), at[-1] - start, tag, frozenset(at)))
    if not found:
        return frozenset(), ""
    *_, tag, used = min(found, key=lambda item: item[:3])
    return used, tag


def _in_order(words: Sequence[str], parts: Sequence[str], start: int) -> tuple[int, ...]:
    """Return where the parts stand one after another from here; nothing where one is missing."""
    at, places = start, []
    for part in parts:
        if part not in words[at:]:
            return ()
        at = words.index(part, at)
        places.append(at)
        at += 1
    return tuple(places)
