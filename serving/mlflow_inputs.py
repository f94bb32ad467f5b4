"""The inputs of MLflow's scoring protocol, to texts: a data frame in two forms, tensors in two forms, or CSV.

A row's text is its only column, or the column `text`; a column without a name is the index that pandas writes.
Before: `serving.foreign` read the body; after: one text a row. Places in errors are those of the body that was sent.
Source: mlflow/pyfunc/scoring_server/__init__.py and mlflow/utils/proto_json_utils.py.
"""

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any

from serving.body import decode_json, json_type
from serving.foreign import checked_texts
from tidegate.errors import InvalidInput, MalformedRequest, UnsupportedMediaType
from tidegate.settings import Settings

TYPES = (b"application/json", b"text/csv")
_FORMS = ("dataframe_split", "dataframe_records", "instances", "inputs")
_LANGUAGE = ("messages", "prompt", "input")
_COLUMN = "text"


def check_content_type(sent: bytes) -> None:
    """Refuse what MLflow refuses.

    Raises:
        UnsupportedMediaType: a charset that is not UTF-8, or another parameter.
    """
    for parameter in sent.decode("latin-1").split(";")[1:]:
        key, _, value = parameter.strip().partition("=")
        if key.lower() != "charset":
            raise UnsupportedMediaType(f"content type parameter {key[:80]!r} is not known; leave it out")
        if value.strip('"').lower() != "utf-8":
            raise UnsupportedMediaType(f"charset {value[:80]!r} is not read; send UTF-8")


def decode_document(body: bytes, settings: Settings) -> Sequence[str]:
    """Texts of a JSON body.

    Raises:
        MalformedRequest: not JSON, or not an object with exactly one of MLflow's forms.
        InvalidInput: a form that does not hold texts.
        PayloadTooLarge: too many texts.
    """
    document = decode_json(body)
    wanted = f"send an object with exactly one of {', '.join(_FORMS)}"
    if not isinstance(document, dict):
        raise MalformedRequest(f"the body is {json_type(document)}; {wanted}")
    for key in document:
        if key in _LANGUAGE:
            raise MalformedRequest(f"{key!r} is for language models, and this one classifies; {wanted}")
        if key not in (*_FORMS, "params"):
            raise MalformedRequest(f"unknown key {key[:80]!r}; {wanted}")
    if document.get("params"):
        raise InvalidInput("this model takes no params; leave them out", pointer="/params")
    forms = [key for key in document if key in _FORMS]
    if len(forms) != 1:
        raise MalformedRequest(f"the body has {' and '.join(forms) or 'none of the forms'}; {wanted}")
    return _READERS[forms[0]](document[forms[0]], settings)


def decode_csv(body: bytes, settings: Settings) -> Sequence[str]:
    """Texts of a CSV file with a line of column names, as `DataFrame.to_csv` writes it.

    Raises:
        MalformedRequest: not UTF-8, or not CSV.
        InvalidInput: no column of texts.
        PayloadTooLarge: too many texts.
    """
    try:
        rows = [row for row in csv.reader(io.StringIO(body.decode("utf-8-sig"), newline=""), strict=True) if row]
    except (UnicodeDecodeError, csv.Error) as error:
        raise MalformedRequest(f"the body is not CSV in UTF-8: {error}; write it as DataFrame.to_csv does") from None
    columns, data = (rows[0], rows[1:]) if rows else ([], [])
    return _texts_of_rows(columns, data, "", settings)


def _split(value: Any, settings: Settings) -> Sequence[str]:
    if not isinstance(value, dict) or "data" not in value or value.keys() - {"columns", "index", "data"}:
        raise InvalidInput('expected {"columns": [...], "data": [[...], ...]}', pointer="/dataframe_split")
    columns, data = value.get("columns") or [_COLUMN], value["data"]
    if not isinstance(columns, list) or not isinstance(data, list):
        raise InvalidInput("columns and data must be lists", pointer="/dataframe_split")
    return _texts_of_rows(columns, data, "/dataframe_split/data", settings)


def _texts_of_rows(columns: list[Any], rows: list[Any], pointer: str, settings: Settings) -> Sequence[str]:
    """The texts of rows that are lists, one value a column."""
    place = columns.index(_column(columns, pointer))
    for index, row in enumerate(rows):
        if not isinstance(row, list) or len(row) != len(columns):
            raise InvalidInput(f"expected a list of {len(columns)}, one value a column", pointer=f"{pointer}/{index}")
    return checked_texts([row[place] for row in rows], settings, pointer)


def _records(value: Any, settings: Settings, pointer: str = "/dataframe_records") -> Sequence[str]:
    if not isinstance(value, list) or not all(isinstance(row, dict) for row in value):
        raise InvalidInput("expected a list of objects, one a row", pointer=pointer)
    texts = [_of_row(row, f"{pointer}/{index}") for index, row in enumerate(value)]
    return checked_texts(texts, settings, pointer)


def _instances(value: Any, settings: Settings, pointer: str = "/instances") -> Sequence[str]:
    """A list of texts, of lists of one text, or of objects."""
    if isinstance(value, list) and value and all(isinstance(row, dict) for row in value):
        return _records(value, settings, pointer)
    if isinstance(value, list):
        value = [row[0] if isinstance(row, list) and len(row) == 1 else row for row in value]
    return checked_texts(value, settings, pointer)


def _inputs(value: Any, settings: Settings) -> Sequence[str]:
    """What `instances` may be; or one text; or an object of columns."""
    if isinstance(value, str):
        return checked_texts([value], settings, "/inputs")
    if isinstance(value, dict):
        column = _of_row(value, "/inputs")
        return _instances([column] if isinstance(column, str) else column, settings, "/inputs")
    return _instances(value, settings, "/inputs")


def _of_row(row: Mapping[str, Any], pointer: str) -> Any:
    return row[_column(list(row), pointer)]


def _column(columns: Sequence[Any], pointer: str) -> Any:
    """The column of the texts."""
    named = [column for column in columns if column not in ("", None)]
    if len(named) == 1:
        return named[0]
    if _COLUMN in named and "text_pair" not in named:
        return _COLUMN
    shown = ", ".join(str(column)[:80] for column in named[:8]) or "none"
    raise InvalidInput(f"which column holds the text? there are: {shown}; send one, or name it text", pointer=pointer)


_READERS = {"dataframe_split": _split, "dataframe_records": _records, "instances": _instances, "inputs": _inputs}
