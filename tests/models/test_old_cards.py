"""Cards that were written before `licence` was called `license` are still read."""

from __future__ import annotations

import json

import pytest

from sosie.models import cards

OLD = {"license": "licence"}


def test_a_card_of_before_is_read():
    for name, card in cards.embedded_cards().items():
        entries = json.loads((cards._FOLDER / f"{name}.json").read_text("utf-8"))
        for place in (entries, *entries["data"], *entries["teachers"]):
            place["licence"] = place.pop("license")
        assert cards.parse_card(json.dumps(entries).encode(), name) == card


def test_a_snapshot_card_of_before_is_read():
    pytest.importorskip("torch")
    import dataclasses

    from sosie.recipes.published import files

    card = files.SnapshotCard(
        **{field.name: _value(field.name) for field in dataclasses.fields(files.SnapshotCard)}
    )
    entries = {OLD.get(key, key): value for key, value in json.loads(card.to_json()).items()}
    assert "licence" in entries
    assert files._card_of(entries) == card


def _value(field: str) -> object:
    return {"inputs": {}, "outputs": [], "parameters": 1, "embedding_map": False}.get(field, field)
