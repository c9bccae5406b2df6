"""Lists the classes of Cityscapes as published (Cordts et al. 2016), and their numbers in files."""

#: All names by their numbers in `labelIds` files.
NAMES = dict(
    enumerate(
        (
            "unlabeled", "ego vehicle", "rectification border", "out of roi", "static", "dynamic",
            "ground", "road", "sidewalk", "parking", "rail track", "building", "wall", "fence",
            "guard rail", "bridge", "tunnel", "pole", "polegroup", "traffic light",
            "traffic sign", "vegetation", "terrain", "sky", "person", "rider", "car", "truck",
            "bus", "caravan", "trailer", "train", "motorcycle", "bicycle",
        )
    )
)  # fmt: skip
#: The name of number -1, which 8-bit files hold as 255.
PLATE = "license plate"
#: The numbers of the 19 classes that the benchmark evaluates, in the order of their `trainIds`.
EVALUATED = (7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33)
#: The 19 classes and their numbers.
CLASSES = {NAMES[number]: number for number in EVALUATED}
#: The number of everything else in `labelTrainIds` files.
NOT_EVALUATED = 255
#: The names that the benchmark leaves out.
IGNORED = frozenset({*NAMES.values(), PLATE} - CLASSES.keys())
