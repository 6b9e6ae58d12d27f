"""Latent skills: encoder, prior and decoder distilled from a tracker."""
