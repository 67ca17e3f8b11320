"""Clouds on this computer: real wire protocols on loopback, and, where asked for, real machines behind them."""
