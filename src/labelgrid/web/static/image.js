// The page of an image: says the value under the pointer, and shows classes on and off.
import { fetchArray, pixelOf } from "./pixels.js";

const stage = document.querySelector(".stage[data-values]");
const over = stage?.querySelector(".over");
const said = document.getElementById("value");
const boxes = [...document.querySelectorAll(".legend input")];
const names = boxes.map((box) => box.dataset.name);

/** The picture of a label of classes, without those whose boxes are not ticked. */
function draw(canvas, values) {
  const [height, width] = values.shape;
  const picture = new ImageData(width, height);
  const pixels = new Uint32Array(picture.data.buffer);
  const colours = boxes.map((box) => (box.checked ? pixelOf(box.dataset.colour) : 0));
  values.numbers.forEach((value, index) => { pixels[index] = colours[value] ?? 0; });
  canvas.getContext("2d").putImageData(picture, 0, 0);
}

/** A canvas in the place of the picture of the label. */
function replacePicture(values) {
  const canvas = document.createElement("canvas");
  [canvas.height, canvas.width] = values.shape;
  canvas.className = "over";
  over.replaceWith(canvas);
  return canvas;
}

/** The row and column of the pixel under the pointer; the picture may not fill its element. */
function place(event, [height, width]) {
  const box = stage.getBoundingClientRect();
  const scale = Math.max(width / box.width, height / box.height);
  return [(event.clientY - box.top) * scale, (event.clientX - box.left) * scale].map(Math.floor);
}

function say(values, event) {
  const [height, width, channels] = values.shape;
  const [row, column] = place(event, values.shape);
  if (row < 0 || column < 0 || row >= height || column >= width) {
    said.textContent = "";
    return;
  }
  const start = (row * width + column) * channels;
  const pixel = [...values.numbers.slice(start, start + channels)];
  const text = names.length ? names[pixel[0]] : pixel.map((number) => number.toFixed(3)).join(", ");
  said.textContent = Number.isNaN(pixel[0]) ? "not labelled" : text + stage.dataset.unit;
}

if (over) {
  let fetched = null; // once somebody wants them
  const values = () => (fetched ??= fetchArray(stage.dataset.values, Float32Array));
  let canvas = null;
  stage.addEventListener("pointermove", async (event) => say(await values(), event));
  stage.addEventListener("pointerleave", () => { said.textContent = ""; });
  for (const box of boxes) {
    box.hidden = false;
    box.addEventListener("change", async () => {
      const found = await values();
      canvas ??= replacePicture(found);
      draw(canvas, found);
    });
  }
  said.hidden = false;
}
