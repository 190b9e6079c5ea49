"""All faults: importing a module registers what it holds."""

from __future__ import annotations

from tests.chaos import faults_messages, faults_network, faults_postgresql, faults_processes, faults_strangers
from tests.chaos.fault_registry import FAULTS

# Switched on for the whole run instead of begun at a time: see load.FAULTY.
HANDLER_FAULTS = (
    "handler_crash",
    "handler_hang",
    "handler_lock",
    "handler_poison",
    "claim_first",
    "claim_too_large",
)

__all__ = [
    "FAULTS",
    "HANDLER_FAULTS",
    "faults_messages",
    "faults_network",
    "faults_postgresql",
    "faults_processes",
    "faults_strangers",
]
