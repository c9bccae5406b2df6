"""Backbones: fused scales, local weights, and clear words where there are none."""

import pytest
import timm
import torch
from safetensors.torch import save_file

from labelgrid.errors import ModelError
from labelgrid.nets import backbones
from labelgrid.nets.backbones import Encoder, load_weights
from labelgrid.nets.options import BackboneOptions

COVERS = ["labelgrid.nets.blocks", "labelgrid.nets.options"]
TINY = BackboneOptions("mobilenetv2_035", pretrained=True, fused=16)


@pytest.fixture(scope="module")
def state():
    return timm.create_model("mobilenetv2_035", pretrained=False, features_only=True).state_dict()


def test_the_papers_hrnet_gives_its_raw_branches_summed_to_270_channels():
    encoder = Encoder(BackboneOptions("hrnet_w18_small_v2", pretrained=False))
    features = encoder(torch.zeros(1, 3, 64, 64))
    assert encoder.channels == 270 and features.shared.shape == (1, 270, 16, 16)
    assert features.deepest.shape == (1, 144, 2, 2)


@pytest.mark.parametrize("name, stride", [("resnet18", 4), ("convnext_atto", 4), ("mobilenetv2_035", 4)])
def test_any_timm_backbone_is_fused_at_its_finest_scale_from_a_quarter_on(name, stride):
    encoder = Encoder(BackboneOptions(name, pretrained=False, fused=8))
    assert encoder(torch.zeros(1, 3, 64, 96)).shared.shape == (1, 8, 64 // stride, 96 // stride)


@pytest.mark.parametrize("size", [(64, 96), (50, 70)])
def test_scales_are_mixed_as_if_they_were_raised_and_concatenated_first(size):
    encoder = Encoder(BackboneOptions("mobilenetv2_035", pretrained=False, fused=8)).train()
    image = torch.rand(2, 3, *size)
    padded = torch.nn.functional.pad(image, (0, -size[1] % 32, 0, -size[0] % 32))
    maps = [scale for i, scale in enumerate(encoder.backbone(padded)) if i in encoder.used]
    finest = maps[0].shape[-2:]
    raised = [torch.nn.functional.interpolate(m, size=finest, mode="bilinear", align_corners=False) for m in maps]
    rows, columns = -(-size[0] // 4), -(-size[1] // 4)
    wanted = encoder.mix(torch.cat(raised, 1)[..., :rows, :columns])
    torch.testing.assert_close(encoder(image).shared, wanted, rtol=1e-4, atol=1e-5)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert encoder(image).shared.dtype == torch.bfloat16


@pytest.mark.parametrize("size", [(64, 96), (50, 70)])
def test_the_levels_are_the_backbones_own_scales_cut_to_the_image(size):
    encoder = Encoder(BackboneOptions("mobilenetv2_035", pretrained=False, fused=8)).eval()
    image = torch.rand(2, 3, *size)
    levels = encoder(image).levels
    sizes = [tuple(-(-side // stride) for side in size) for stride in (4, 8, 16, 32)]
    assert [(level.shape[1], tuple(level.shape[-2:])) for level in levels] == list(
        zip(encoder.level_channels, sizes, strict=True)
    )
    assert encoder.strides == (4, 8, 16, 32)
    padded = torch.nn.functional.pad(image, (0, -size[1] % 32, 0, -size[0] % 32))
    own = [scale for i, scale in enumerate(encoder.backbone(padded)) if i in encoder.used]
    cut = [scale[..., :rows, :columns] for scale, (rows, columns) in zip(own, sizes, strict=True)]
    assert all(torch.equal(level, scale) for level, scale in zip(levels, cut, strict=True))


@pytest.mark.parametrize("name", ["hrnet_w18_small_v2", "mobilenetv2_035"])
@pytest.mark.parametrize("size", [(50, 70), (33, 32), (7, 5)])
def test_images_of_any_size_are_taken_as_if_padded_to_the_coarsest_scale(name, size):
    encoder = Encoder(BackboneOptions(name, pretrained=False, fused=4)).eval()
    height, width = size
    image = torch.rand(1, 3, height, width)
    assert encoder(image).shared.shape == (1, 4, -(-height // 4), -(-width // 4))
    whole = torch.zeros(1, 3, -(-height // 32) * 32, -(-width // 32) * 32)
    whole[..., :height, :width] = image
    torch.testing.assert_close(encoder(image).shared, encoder(whole).shared[..., : -(-height // 4), : -(-width // 4)])


@pytest.mark.parametrize("form", ["safetensors", "pth", "prefixed", "with classifier", "in state_dict"])
def test_local_weights_are_loaded_whatever_their_prefix(tmp_path, state, form):
    wanted = {k: torch.full_like(v, 0.5) if v.is_floating_point() else v for k, v in state.items()}
    path = tmp_path / ("w.safetensors" if form != "pth" else "w.pth")
    given = {f"module.backbone.{k}": v for k, v in wanted.items()} if form == "prefixed" else dict(wanted)
    if form == "with classifier":
        given["classifier.weight"] = torch.zeros(3, 3)
    if form in ("pth", "in state_dict"):
        path = path.with_suffix(".pth")
        torch.save({"state_dict": given} if form == "in state_dict" else given, path)
    else:
        save_file({k: v.clone() for k, v in given.items()}, path)
    encoder = Encoder(TINY, path)
    assert all(torch.equal(v, wanted[k]) for k, v in encoder.backbone.state_dict().items())


def test_weights_of_another_backbone_are_refused(tmp_path, state):
    save_file({"other.weight": torch.zeros(1)}, tmp_path / "w.safetensors")
    with pytest.raises(ModelError, match="The weights do not fit the backbone"):
        load_weights(Encoder(BackboneOptions("mobilenetv2_035", pretrained=False)).backbone, tmp_path / "w.safetensors")
    wrong = {k: v[:1].clone() if v.ndim > 1 else v for k, v in state.items()}
    save_file(wrong, tmp_path / "v.safetensors")
    with pytest.raises(ModelError, match="have another shape"):
        load_weights(Encoder(BackboneOptions("mobilenetv2_035", pretrained=False)).backbone, tmp_path / "v.safetensors")


def test_a_file_that_is_no_weights_file_is_refused(tmp_path):
    (tmp_path / "w.safetensors").write_bytes(b"no")
    (tmp_path / "w.pth").write_bytes(b"no")
    for path in (tmp_path / "w.safetensors", tmp_path / "w.pth"):
        with pytest.raises(ModelError, match=r"not a weights file|objects other than tensors"):
            backbones.read_state(path)
    with pytest.raises(ModelError, match="There is no such weights file"):
        backbones.read_state(tmp_path / "absent.pth")


def test_a_download_that_cannot_be_says_what_to_do_instead(monkeypatch):
    real = timm.create_model

    def offline(name, pretrained=False, **options):
        if pretrained:
            raise ConnectionError("no route to host")
        return real(name, pretrained=False, **options)

    monkeypatch.setattr(timm, "create_model", offline)
    with pytest.raises(ModelError, match=r"could not be fetched \(ConnectionError\)(.|\n)*--weights FILE"):
        Encoder(TINY)


def test_an_unknown_backbone_is_refused():
    with pytest.raises(ModelError, match="timm cannot build the backbone 'mobilenet_v99'"):
        Encoder(BackboneOptions("mobilenet_v99", pretrained=False))
