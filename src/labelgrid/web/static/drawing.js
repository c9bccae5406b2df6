// A drawing: the number of the region of each pixel, and strokes that can be undone.

/** The number of a pixel that no region covers. */
export const NOTHING = -1;
/** The most strokes, and the most numbers of them, that can be undone. */
const STROKES = 200;
const NUMBERS = 50e6;

export class Drawing {
  /** `changed(box)` is told where the drawing changed, as [left, top, right, bottom]. */
  constructor(width, height, changed) {
    this.width = width;
    this.height = height;
    this.regions = new Int16Array(width * height).fill(NOTHING);
    this.changed = changed;
    this.locked = new Set(); // the regions that nothing is drawn over
    this.before = this.regions.slice(); // before the stroke that is being drawn
    this.box = null; // what that stroke changed
    this.done = [];
    this.undone = [];
  }

  /** Draws a line as thick as a brush; distances are in pixels. */
  line([fromX, fromY], [toX, toY], radius, number) {
    const box = this.#clip([
      Math.min(fromX, toX) - radius, Math.min(fromY, toY) - radius,
      Math.max(fromX, toX) + radius + 1, Math.max(fromY, toY) + radius + 1,
    ]);
    const [alongX, alongY] = [toX - fromX, toY - fromY];
    const length = alongX ** 2 + alongY ** 2 || 1;
    this.#each(box, (index, x, y) => {
      const share = ((x - fromX) * alongX + (y - fromY) * alongY) / length;
      const near = Math.min(1, Math.max(0, share));
      const distance = Math.hypot(x - fromX - near * alongX, y - fromY - near * alongY);
      if (distance <= radius && !this.locked.has(this.regions[index])) this.regions[index] = number;
    });
    if (box[0] < box[2] && box[1] < box[3]) this.#touch(box);
  }

  /** Fills the area of one region around a pixel, row by row. */
  fill([x, y], number) {
    const { regions, width } = this;
    const start = Math.floor(y) * width + Math.floor(x);
    const old = regions[start];
    if (old === undefined || old === number || this.locked.has(old)) return;
    const waiting = [start];
    const box = [width, this.height, 0, 0];
    while (waiting.length) {
      let index = waiting.pop();
      const first = index - (index % width);
      while (index > first && regions[index - 1] === old) index -= 1;
      const left = index - first;
      const open = [false, false]; // whether the area goes on above and below
      for (; index < first + width && regions[index] === old; index += 1) {
        regions[index] = number;
        [index - width, index + width].forEach((other, side) => {
          if (regions[other] === old && !open[side]) waiting.push(other);
          open[side] = regions[other] === old;
        });
      }
      const row = first / width;
      box.splice(0, 4, Math.min(box[0], left), Math.min(box[1], row),
        Math.max(box[2], index - first), Math.max(box[3], row + 1));
    }
    this.#touch(box);
  }

  /** Takes other numbers everywhere; null: nothing is drawn. */
  replace(numbers) {
    if (numbers) this.regions.set(numbers);
    else this.regions.fill(NOTHING);
    this.#touch([0, 0, this.width, this.height]);
  }

  /** Ends a stroke: from now on it can be undone as one. */
  end() {
    if (!this.box) return;
    const box = this.box;
    this.done.push({ box, before: this.#cut(this.before, box), after: this.#cut(this.regions, box) });
    this.undone = [];
    this.#paste(this.before, box, this.done.at(-1).after);
    this.box = null;
    const size = () => this.done.reduce((sum, stroke) => sum + stroke.after.length, 0);
    while (this.done.length > STROKES || (this.done.length > 1 && size() > NUMBERS)) this.done.shift();
  }

  /** Forgets all strokes: what is drawn now is the start. */
  begin() {
    this.end();
    this.done = [];
  }

  undo() {
    this.#move(this.done, this.undone, "before");
  }

  redo() {
    this.#move(this.undone, this.done, "after");
  }

  #move(from, to, side) {
    this.end();
    const stroke = from.pop();
    if (!stroke) return;
    to.push(stroke);
    this.#paste(this.regions, stroke.box, stroke[side]);
    this.#paste(this.before, stroke.box, stroke[side]);
    this.changed(stroke.box);
  }

  #touch(box) {
    const [left, top, right, bottom] = this.box ?? box;
    this.box = [
      Math.min(left, box[0]), Math.min(top, box[1]), Math.max(right, box[2]), Math.max(bottom, box[3]),
    ];
    this.changed(box);
  }

  #clip([left, top, right, bottom]) {
    return [
      Math.max(0, Math.floor(left)), Math.max(0, Math.floor(top)),
      Math.min(this.width, Math.ceil(right)), Math.min(this.height, Math.ceil(bottom)),
    ];
  }

  /** Calls with the index of each pixel in a box, and its middle. */
  #each([left, top, right, bottom], call) {
    for (let y = top; y < bottom; y += 1) {
      for (let x = left; x < right; x += 1) call(y * this.width + x, x + 0.5, y + 0.5);
    }
  }

  #cut(numbers, box) {
    const part = new Int16Array((box[2] - box[0]) * (box[3] - box[1]));
    let at = 0;
    this.#each(box, (index) => { part[at++] = numbers[index]; });
    return part;
  }

  #paste(numbers, box, part) {
    let at = 0;
    this.#each(box, (index) => { numbers[index] = part[at++]; });
  }
}
