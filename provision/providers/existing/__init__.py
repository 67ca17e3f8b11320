"""The provider `existing`: hosts that the user has already, never created, powered off or deleted."""
