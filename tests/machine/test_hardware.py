"""What a machine has, read from what nvidia-smi says."""

from darkroom.machine.allotment.memory import Memory
from darkroom.machine.hardware import Card, Hardware, hardware

SAID = "NVIDIA GeForce RTX 4090, 24564, 24000, 570.86.10\\nNVIDIA GB10, [N/A], [N/A], 580.95\\n"
GIB = 2**30


def test_cards_are_those_that_nvidia_smi_lists_with_memory_of_their_own():
    cards = hardware(["printf", SAID]).cards
    assert cards == (Card("NVIDIA GeForce RTX 4090", 24564 * 2**20, 24000 * 2**20, "570.86.10"),)


def test_without_nvidia_smi_or_without_an_answer_there_is_none():
    assert hardware(["/there/is/none"]).cards == ()
    assert hardware(["false"]).cards == ()


def machine(*cards: Card, torch: str) -> Hardware:
    return Hardware("Linux 6.1", "3.12.1", torch, cards, Memory(64 * GIB, 32 * GIB), 100 * GIB)


def test_a_card_that_torch_s_build_leaves_idle_is_told_with_the_cure():
    card = Card("RTX 4090", 24 * GIB, 23 * GIB, "570")
    assert list(machine(card, torch="2.13.0").lines()) == [
        "system   Linux 6.1",
        "Python   3.12.1, torch 2.13.0",
        "card     RTX 4090, 24.7 GB of 25.8 GB free, driver 570",
        "memory   34.4 GB of 68.7 GB free",
        "disk     107 GB free here",
    ]
    assert "leaves it idle: pip install --force-reinstall torch" in list(machine(card, torch="2.13.0+cpu").lines())[3]
    assert "rendered on the processor" in list(machine(torch="2.13.0+cpu").lines())[2]
