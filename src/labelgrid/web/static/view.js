// The view of a sheet on a board: how far it is moved and zoomed.

/** The least and the largest zoom: board pixels for each pixel of the image. */
const LEAST = 0.02;
const MOST = 40;

export class View {
  /** Shows a sheet of this size on a board; `moved()` is told of each change. */
  constructor(board, sheet, [width, height], moved) {
    Object.assign(this, { board, sheet, width, height, moved, scale: 1, left: 0, top: 0 });
  }

  /** Shows the whole sheet. */
  fit() {
    const { clientWidth, clientHeight } = this.board;
    this.scale = Math.min(clientWidth / this.width, clientHeight / this.height);
    this.left = (clientWidth - this.width * this.scale) / 2;
    this.top = (clientHeight - this.height * this.scale) / 2;
    this.#show();
  }

  /** Zooms, so that a point of the board stays where it is; without a point, its middle. */
  zoom(factor, [x, y] = [this.board.clientWidth / 2, this.board.clientHeight / 2]) {
    const scale = Math.min(MOST, Math.max(LEAST, this.scale * factor));
    this.left = x - ((x - this.left) * scale) / this.scale;
    this.top = y - ((y - this.top) * scale) / this.scale;
    this.scale = scale;
    this.#show();
  }

  pan(right, down) {
    this.left += right;
    this.top += down;
    this.#show();
  }

  /** The place of the pointer on the board. */
  onBoard(event) {
    const box = this.board.getBoundingClientRect();
    const { clientLeft, clientTop } = this.board; // its border
    return [event.clientX - box.left - clientLeft, event.clientY - box.top - clientTop];
  }

  /** The place of the pointer on the sheet, in pixels of the image. */
  onSheet(event) {
    const [x, y] = this.onBoard(event);
    return [(x - this.left) / this.scale, (y - this.top) / this.scale];
  }

  #show() {
    const { left, top, scale } = this;
    this.sheet.style.transform = `translate(${left}px, ${top}px) scale(${scale})`;
    this.sheet.classList.toggle("near", scale > 2);
    this.moved();
  }
}
