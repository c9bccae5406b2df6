// Numbers of pixels: reads arrays of them from the server, and makes pixels of colours.

/** Fetches an array: a line of JSON with its shape and more, then its numbers; `kind` is their type. */
export async function fetchArray(address, kind) {
  const answer = await fetch(address);
  if (!answer.ok) throw new Error(await answer.text());
  const bytes = await answer.arrayBuffer();
  const end = new Uint8Array(bytes).indexOf(10); // the end of the line
  const head = JSON.parse(new TextDecoder().decode(bytes.slice(0, end)));
  return { ...head, numbers: new kind(bytes.slice(end + 1)) };
}

/** A colour "#rrggbb" or "#rrggbbaa" as a pixel of a canvas, whose bytes are red, green, blue and opacity. */
export function pixelOf(colour) {
  const bytes = [1, 3, 5, 7].map((at) => parseInt(`${colour}ff`.slice(at, at + 2), 16));
  return new Uint32Array(new Uint8Array(bytes).buffer)[0];
}
