"""Who is held out is a matter of the name alone, on every machine and in every year."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sosie.datasets.split import identity_of, is_held_out


def test_known_names() -> None:
    """SHA-256 of the name, modulo five: written down, so that a change shows."""
    held_out = {name: is_held_out(name) for name in ("a", "b", "lfw/Ada_Lovelace", "7204", "é")}
    assert held_out == {
        "a": False,
        "b": True,
        "lfw/Ada_Lovelace": False,
        "7204": False,
        "é": False,
    }


def test_one_in_five_is_held_out() -> None:
    count = sum(is_held_out(f"celeba/{number}") for number in range(5000))
    assert 900 < count < 1100


@given(st.text())
def test_the_same_name_gets_the_same_answer(name: str) -> None:
    assert is_held_out(name) is is_held_out(name)


def test_all_pictures_of_a_person_fall_on_one_side() -> None:
    names = [f"Ada_Lovelace/Ada_Lovelace_{number:04}.webp" for number in range(1, 9)]
    people = {identity_of("lfw", name) for name in names}
    assert people == {"lfw/Ada_Lovelace"}
    assert identity_of("celeba", "7204/128794.webp") == identity_of("celeba", "7204/1.webp")
    assert identity_of("celeba", "7204/1.webp") != identity_of("celeba", "7205/1.webp")


def test_one_name_in_two_archives_is_one_person() -> None:
    assert identity_of("youtube", "Ada_Lovelace_3.webp") == identity_of(
        "lfw", "Ada_Lovelace/Ada_Lovelace_0001.webp"
    )


def test_without_known_identities_every_picture_is_its_own() -> None:
    assert identity_of("hires", "ffhq/1.webp") != identity_of("hires", "ffhq/2.webp")
    assert identity_of("hires", "1.webp") != identity_of("clips", "1.webp")
