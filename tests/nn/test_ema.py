"""The average of weights against its recursion."""

from __future__ import annotations

import torch
from torch import nn

from humanoid.nn import Ema


def test_average_follows_its_recursion() -> None:
    torch.manual_seed(0)
    model = nn.Linear(3, 2)
    ema = Ema(model, power=0.75, max_decay=0.5)
    wanted = {name: value.detach().clone().double() for name, value in model.named_parameters()}
    for step in range(6):
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.normal_()
        decay = min(0.5, 1.0 - (1.0 + step) ** -0.75)
        assert ema.decay == decay
        ema.update()
        for name, value in model.named_parameters():
            wanted[name] = decay * wanted[name] + (1.0 - decay) * value.detach().double()
    for name, value in ema.weights().items():
        torch.testing.assert_close(value.double(), wanted[name])


def test_average_goes_on_where_another_stopped() -> None:
    model = nn.Linear(3, 2)
    first = Ema(model)
    first.update()
    second = Ema(nn.Linear(3, 2))
    second.load(first.weights(), first.step)
    assert second.decay == first.decay
    assert all(torch.equal(second.weights()[name], value) for name, value in first.weights().items())
