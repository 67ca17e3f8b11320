"""The provider `existing`: hosts that the user has already, never created, powered off or deleted."""

from provision.providers.existing.provider import ExistingProvider

__all__ = ["ExistingProvider"]
