function download(parts, name, type) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob(parts, { type }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

function rgb(color) {
  return [1, 3, 5].map((i) => parseInt(color.slice(i, i + 2), 16));
}

function crc(bytes) {
  let value = ~0;
  for (const byte of bytes) {
    value ^= byte;
    for (let k = 0; k < 8; k++) value = (value >>> 1) ^ (value & 1 ? 0xedb88320 : 0);
  }
  return ~value >>> 0;
}

function chunk(type, data) {
  const bytes = new Uint8Array(12 + data.length), view = new DataView(bytes.buffer);
  view.setUint32(0, data.length);
  bytes.set(new TextEncoder().encode(type), 4);
  bytes.set(data, 8);
  view.setUint32(8 + data.length, crc(bytes.subarray(4, 8 + data.length)));
  return bytes;
}

// a palette image as the package saves it: class ids for a program, colours for the eye
async function pngOf(mask) {
  const rows = new Uint8Array((width + 1) * height), head = new Uint8Array(13), view = new DataView(head.buffer);
  for (let y = 0; y < height; y++) rows.set(mask.subarray(y * width, (y + 1) * width), y * (width + 1) + 1);
  const packed = new Response(new Blob([rows]).stream().pipeThrough(new CompressionStream("deflate")));
  view.setUint32(0, width);
  view.setUint32(4, height);
  head.set([8, 3, 0, 0, 0], 8);
  const palette = new Uint8Array([0, 0, 0, ...facts.colors.flatMap(rgb)]);
  const signature = new Uint8Array([137, 80, 78, 71, 13, 10, 26, 10]);
  const data = new Uint8Array(await packed.arrayBuffer());
  return [signature, chunk("IHDR", head), chunk("PLTE", palette), chunk("IDAT", data), chunk("IEND", new Uint8Array())];
}

// an array for numpy.load, in the image's own order
function npyOf(mask) {
  const { shape, start, steps } = facts.own, values = new Uint8Array(mask.length);
  for (let z = 0, i = 0; z < depth; z++)
    for (let y = 0; y < height; y++)
      for (let x = 0; x < width; x++) values[start + z * steps[0] + y * steps[1] + x * steps[2]] = mask[i++];
  const text = `{'descr': '|u1', 'fortran_order': False, 'shape': (${shape.join(", ")},), }`;
  const size = Math.ceil((11 + text.length) / 64) * 64 - 10, head = new Uint8Array(10 + size).fill(32);
  head.set([0x93, 78, 85, 77, 80, 89, 1, 0, size & 255, size >> 8]);
  head.set(new TextEncoder().encode(text), 10);
  head[head.length - 1] = 10;
  return [head, values];
}

function csvOf(columns, rows) {
  const cell = (v) => (/[",\n]/.test(String(v)) ? `"${String(v).replaceAll('"', '""')}"` : v ?? "");
  return [[columns, ...rows].map((row) => row.map(cell).join(",")).join("\n") + "\n"];
}

// the bytes of a packed array in the page, zlib-compressed in base64
async function unpack(name) {
  const node = document.getElementById("array-" + name);
  if (!node) return null;
  const bytes = Uint8Array.from(atob(node.textContent), (c) => c.charCodeAt(0));
  node.remove();
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Response(stream).arrayBuffer();
}
