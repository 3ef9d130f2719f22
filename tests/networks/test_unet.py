"""The network: shapes and values by hand, gradients, and the published architecture."""

from collections import OrderedDict

import pytest
import torch
from helpers.networks import make_network
from torch import nn

from unet_helpers.networks.unet import UNet, fold_batch_norm, pad_by_reflection


@pytest.mark.parametrize("size", [(1, 1), (17, 33), (250, 3), (64, 64), (16, 15)])
@pytest.mark.parametrize(("out_channels", "depth"), [(1, 4), (3, 2)])
def test_any_size_comes_back_and_is_a_probability(size, out_channels, depth):
    answer = UNet(2, out_channels, features=2, depth=depth).eval()(torch.rand(2, 2, *size))
    assert answer.shape == (2, out_channels, *size)
    assert answer.min() >= 0
    assert answer.max() <= 1
    if out_channels > 1:
        torch.testing.assert_close(answer.sum(1), torch.ones(2, *size))


def test_about_two_million_parameters_by_the_formula():
    """The formula adds up kernels, biases and the four numbers a channel of two batch norms.

    A block has 9 c_in c_out + 9 c_out^2 + 4 c_out parameters, an up-convolution 8 c^2 + c, the last
    layer c + 1.
    """

    def block(c_in, c_out):
        return 9 * c_in * c_out + 9 * c_out**2 + 4 * c_out

    widths = [16, 32, 64, 128]
    # The encoders and the bottleneck.
    expected = block(1, 16) + sum(block(width, 2 * width) for width in widths)
    # The up-convolutions and decoders, and the last layer.
    for width in widths:
        expected += 2 * width * width * 4 + width + block(2 * width, width)
    expected += 16 + 1
    assert sum(p.numel() for p in UNet(1, 1).parameters()) == expected == 1_942_289


def test_a_network_of_known_weights_gives_the_answer_worked_out_by_hand():
    """All kernels are 'the centre times 1': the skip carries x, the way down its 2 x 2 maximum."""
    network = UNet(1, 1, features=1, depth=1).eval()
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            parameter.zero_()
            if "conv" in name and parameter.dim() == 4 and parameter.shape[-1] == 3:
                parameter[:, :, 1, 1] = 1
            elif "norm" in name and name.endswith("weight"):
                parameter.fill_(1)
        network.upconv1.weight.fill_(0.5)
        network.conv.weight.fill_(1)
        network.conv.bias.fill_(-1)
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.eps = 0.0
    x = torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]])
    # The maximum is 4. Bottleneck: two channels of 4, then of 4 + 4. Up-convolution: 0.5 * (8 + 8).
    # Decoder: 8 + x. The last layer: minus 1.
    torch.testing.assert_close(network.logits(x), x + 8 - 1)
    torch.testing.assert_close(network(x), torch.sigmoid(x + 7))


def test_padding_mirrors_without_repeating_the_edge():
    x = torch.arange(3.0).reshape(1, 1, 1, 3)
    assert pad_by_reflection(x, 8)[0, 0, 0].tolist() == [0, 1, 2, 1, 0, 1, 2, 1]


def test_gradients_agree_with_finite_differences():
    network = UNet(1, 2, features=1, depth=1).double().eval()
    x = torch.rand(1, 1, 4, 4, dtype=torch.double, requires_grad=True)
    assert torch.autograd.gradcheck(network, (x,), atol=1e-5)


def test_every_parameter_learns():
    network = UNet(1, 1, features=2, depth=3)
    network.logits(torch.rand(2, 1, 32, 32)).square().mean().backward()
    assert [
        n for n, p in network.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0
    ] == []


class Published(nn.Module):
    """The network of mateuszbuda/brain-segmentation-pytorch, restated with its names and order."""

    def __init__(self, features=32):
        super().__init__()

        def block(i, o, name):
            steps = {}
            for k, c in (("1", i), ("2", o)):
                steps[f"{name}conv{k}"] = nn.Conv2d(c, o, 3, padding=1, bias=False)
                steps[f"{name}norm{k}"] = nn.BatchNorm2d(o)
                steps[f"{name}relu{k}"] = nn.ReLU(inplace=True)
            return nn.Sequential(OrderedDict(steps))

        f = features
        self.encoder1 = block(3, f, "enc1")
        self.encoder2 = block(f, 2 * f, "enc2")
        self.encoder3 = block(2 * f, 4 * f, "enc3")
        self.encoder4 = block(4 * f, 8 * f, "enc4")
        self.bottleneck = block(8 * f, 16 * f, "bottleneck")
        self.upconv4 = nn.ConvTranspose2d(16 * f, 8 * f, 2, 2)
        self.decoder4 = block(16 * f, 8 * f, "dec4")
        self.upconv3 = nn.ConvTranspose2d(8 * f, 4 * f, 2, 2)
        self.decoder3 = block(8 * f, 4 * f, "dec3")
        self.upconv2 = nn.ConvTranspose2d(4 * f, 2 * f, 2, 2)
        self.decoder2 = block(4 * f, 2 * f, "dec2")
        self.upconv1 = nn.ConvTranspose2d(2 * f, f, 2, 2)
        self.decoder1 = block(2 * f, f, "dec1")
        self.conv = nn.Conv2d(f, 1, 1)

    def forward(self, x):
        pool = nn.functional.max_pool2d
        e1 = self.encoder1(x)
        e2 = self.encoder2(pool(e1, 2))
        e3 = self.encoder3(pool(e2, 2))
        e4 = self.encoder4(pool(e3, 2))
        x = self.bottleneck(pool(e4, 2))
        x = self.decoder4(torch.cat((self.upconv4(x), e4), 1))
        x = self.decoder3(torch.cat((self.upconv3(x), e3), 1))
        x = self.decoder2(torch.cat((self.upconv2(x), e2), 1))
        x = self.decoder1(torch.cat((self.upconv1(x), e1), 1))
        return torch.sigmoid(self.conv(x))


def test_the_published_weights_fit_and_give_the_published_answer():
    torch.manual_seed(3)
    published = Published().eval()
    ours = UNet(3, 1, features=32).eval()
    shapes = {k: v.shape for k, v in published.state_dict().items()}
    assert shapes == {k: v.shape for k, v in ours.state_dict().items()}
    ours.load_state_dict(published.state_dict())
    x = torch.rand(1, 3, 64, 48)
    with torch.inference_mode():
        torch.testing.assert_close(ours(x), published(x), atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("out_channels", [1, 3])
def test_folding_batch_norm_changes_no_answer(out_channels):
    network = make_network(out_channels)
    x = torch.rand(2, 1, 24, 40)
    with torch.inference_mode():
        before = network(x)
        folded = fold_batch_norm(network)
        torch.testing.assert_close(folded(x), before, atol=1e-5, rtol=1e-4)
    assert not [m for m in folded.modules() if isinstance(m, nn.BatchNorm2d)]
