// A file becomes pixels: { pixels, type, height, width, channels, spacing, slices, notes }.
// Pixels are (height, width, channels), of the type "uint8" as Uint8Array, of "uint16" and "float32" as Float32Array.

// A picture of more pixels takes more memory than a page has; the side is what browsers decode.
const MOST_PIXELS = 25e6, LONGEST_SIDE = 16384;

// What is said in the page when a file cannot be read.
class FileError extends Error {}

function checkSize(height, width) {
  if (!(height > 0 && width > 0)) throw new FileError("it has no pixels.");
  if (height > LONGEST_SIDE || width > LONGEST_SIDE || height * width > MOST_PIXELS)
    throw new FileError(`its ${width.toLocaleString("en")} × ${height.toLocaleString("en")} pixels are too many for a page: 25 million at most. Cut it, or use segment_large in Python.`);
}

const startsWith = (bytes, text, at = 0) => [...text].every((letter, i) => bytes[at + i] === letter.charCodeAt(0));

// The formats by their first bytes, as in images/formats.py.
const FORMATS = [
  { name: "PNG", fits: (b) => startsWith(b, "\x89PNG\r\n\x1a\n"), read: readPng },
  { name: "JPEG", fits: (b) => b[0] === 0xff && b[1] === 0xd8, read: readJpeg },
  { name: "WebP", fits: (b) => startsWith(b, "RIFF") && startsWith(b, "WEBP", 8), read: (b) => decoded(b, "image/webp", 3) },
  { name: "TIFF", fits: (b) => startsWith(b, "II*\0") || startsWith(b, "MM\0*"), read: readTiff },
  { name: "DICOM", fits: (b) => startsWith(b, "DICM", 128), read: readDicom },
  { name: "NIfTI", fits: isNifti, read: readNifti },
];

async function readFile(buffer, name, slice) {
  let bytes = new Uint8Array(buffer);
  if (!bytes.length) throw new FileError("it is empty.");
  if (bytes[0] === 0x1f && bytes[1] === 0x8b) bytes = await unzipped(bytes);
  const format = FORMATS.find((f) => f.fits(bytes));
  if (!format) throw new FileError("it is none of PNG, JPEG, WebP, TIFF, DICOM and NIfTI. Python reads more formats: save it as TIFF or PNG there.");
  let image;
  try {
    image = await format.read(bytes, slice);
  } catch (error) {
    if (error instanceof FileError) throw error;
    throw new FileError(`it begins like a ${format.name} file, but is damaged (${error.message || error}).`);
  }
  return { spacing: null, slices: 1, notes: [], ...image, name };
}

async function unzipped(bytes) {
  try {
    return new Uint8Array(await new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).arrayBuffer());
  } catch {
    throw new FileError("its gzip compression is damaged.");
  }
}

function readPng(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset), bits = bytes[24], kind = bytes[25];
  checkSize(view.getUint32(20), view.getUint32(16));
  if (!startsWith(bytes, "IEND", bytes.length - 8)) throw new FileError("its end is missing: it was not copied whole.");
  const channels = kind === 0 || kind === 4 ? 1 : 3;
  return bits === 16 ? pngOf16Bits(bytes, channels) : decoded(bytes, "image/png", channels);
}

// A browser decodes 8 of 16 bits; alpha, which is stored behind the colours, is dropped.
function pngOf16Bits(bytes, channels) {
  library("png");
  const { width, height, ctype, data } = UPNG.decode(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength));
  const samples = channels + (ctype & 4 ? 1 : 0), count = height * width;
  if (!data || data.length < 2 * count * samples) throw new FileError("its end is missing: it was not copied whole.");
  const pixels = new Float32Array(count * channels);
  for (let i = 0, k = 0; i < count; i++)
    for (let c = 0; c < channels; c++) {
      const at = 2 * (i * samples + c);
      pixels[k++] = 256 * data[at] + data[at + 1];
    }
  return { pixels, type: "uint16", height, width, channels };
}

function readJpeg(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  // Segments up to the start of a frame, which says the size and the number of components.
  for (let at = 2; at + 9 < bytes.length;) {
    const marker = view.getUint16(at);
    if (marker >= 0xffc0 && marker <= 0xffcf && ![0xffc4, 0xffc8, 0xffcc].includes(marker)) {
      checkSize(view.getUint16(at + 5), view.getUint16(at + 7));
      if (bytes.lastIndexOf(0xd9) < bytes.length - 64) throw new FileError("its end is missing: it was not copied whole.");
      return decoded(bytes, "image/jpeg", bytes[at + 9] === 1 ? 1 : 3);
    }
    at += 2 + view.getUint16(at + 2);
  }
  throw new FileError("it begins like a JPEG file, but has no picture in it.");
}

// The browser decodes; alpha is dropped, and the colours stay as stored.
async function decoded(bytes, type, channels) {
  const bitmap = await createImageBitmap(new Blob([bytes], { type }), { colorSpaceConversion: "none", premultiplyAlpha: "none" });
  const { width, height } = bitmap;
  checkSize(height, width);
  const context = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true });
  context.drawImage(bitmap, 0, 0);
  const rgba = context.getImageData(0, 0, width, height).data, pixels = new Uint8Array(width * height * channels);
  for (let i = 0, j = 0; i < rgba.length; i += 4) for (let c = 0; c < channels; c++) pixels[j++] = rgba[i + c];
  return { pixels, type: "uint8", height, width, channels };
}

function readTiff(bytes) {
  library("tiff");
  const pages = UTIF.decode(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength)), page = pages[0];
  const width = page.t256[0], height = page.t257[0], bits = page.t258 ? page.t258[0] : 1, channels = page.t277 ? page.t277[0] : 1;
  checkSize(height, width);
  if (![8, 16].includes(bits) || (page.t339 && page.t339[0] !== 1)) throw new FileError("it is a TIFF of other numbers than 8 or 16 bits: save it as one of these.");
  if (page.t284 && page.t284[0] === 2 && channels > 1) throw new FileError("its colours are stored one after the other: save it with interleaved colours.");
  UTIF.decodeImage(bytes.buffer, page);
  const stored = bits === 8 ? page.data : new Uint16Array(page.data.buffer, page.data.byteOffset, page.data.length >> 1);
  const kept = channels >= 3 ? 3 : 1, count = width * height;
  if (stored.length < count * channels) throw new FileError("its end is missing: it was not copied whole.");
  const pixels = bits === 8 ? new Uint8Array(count * kept) : new Float32Array(count * kept);
  const white = page.t262 && page.t262[0] === 0 ? 2 ** bits - 1 : null;
  for (let i = 0; i < count; i++)
    for (let c = 0; c < kept; c++) {
      const value = stored[i * channels + c];
      pixels[i * kept + c] = white === null ? value : white - value;
    }
  const notes = pages.length > 1 ? [`It holds ${pages.length} pages: the first is read.`] : [];
  return { pixels, type: `uint${bits}`, height, width, channels: kept, notes };
}

function isNifti(bytes) {
  if (bytes.length < 348) return false;
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  return [348, 540].includes(view.getInt32(0, true)) || [348, 540].includes(view.getInt32(0, false));
}

// Numbers of a NIfTI file, by the code of their type.
const NIFTI_TYPES = { 2: Uint8Array, 4: Int16Array, 8: Int32Array, 16: Float32Array, 64: Float64Array, 256: Int8Array, 512: Uint16Array, 768: Uint32Array };

// One axial slice as radiologists see it: front at the top, the patient's right on the left (images/stack.py).
function readNifti(bytes, slice) {
  library("nifti");
  const buffer = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength);
  const header = nifti.readHeader(buffer), Type = NIFTI_TYPES[header.datatypeCode], sizes = header.dims.slice(1, 4).map((n) => Math.max(1, n));
  if (!Type || !header.littleEndian) throw new FileError("its numbers are of a type that is not read here: save it as little-endian int16 or float32.");
  const stored = new Type(nifti.readImage(header, buffer).slice(0, sizes[0] * sizes[1] * sizes[2] * Type.BYTES_PER_ELEMENT));
  if (stored.length < sizes[0] * sizes[1] * sizes[2]) throw new FileError("its end is missing: it was not copied whole.");

  // The stored axis that lies along each axis of the body (right, front, head), and its direction.
  const axes = [0, 1, 2].map((body) => {
    const weights = [0, 1, 2].map((axis) => Math.abs(header.affine[body][axis]));
    const axis = weights.indexOf(Math.max(...weights));
    return { axis, forward: header.affine[body][axis] >= 0 };
  });
  const strides = [1, sizes[0], sizes[0] * sizes[1]], [right, front, head] = axes;
  const count = sizes[head.axis], height = sizes[front.axis], width = sizes[right.axis];
  checkSize(height, width);
  const shown = Math.min(slice ?? count >> 1, count - 1), pixels = new Float32Array(height * width);
  const index = ({ axis, forward }, k) => (forward ? k : sizes[axis] - 1 - k) * strides[axis];
  const slope = header.scl_slope || 1, intercept = header.scl_slope ? header.scl_inter : 0;
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++)
      pixels[y * width + x] = stored[index(head, shown) + index(front, height - 1 - y) + index(right, width - 1 - x)] * slope + intercept;
  const spacing = [header.pixDims[1 + front.axis], header.pixDims[1 + right.axis]];
  return { pixels, type: "float32", height, width, channels: 1, slices: count, slice: shown, spacing };
}

function extent(values) {
  let low = Infinity, high = -Infinity;
  for (const v of values) { if (v < low) low = v; if (v > high) high = v; }
  return [low, high];
}

// The picture that is shown, of 8 bits; where percentiles are stretched, as results/overlay.py does.
function shownPixels({ pixels, type }) {
  if (type === "uint8") return pixels;
  const sample = pixels.filter((_, i) => i % Math.max(1, pixels.length >> 16) === 0).sort();
  const low = sample[Math.floor(0.005 * (sample.length - 1))], high = sample[Math.ceil(0.995 * (sample.length - 1))];
  return Uint8Array.from(pixels, (v) => Math.min(255, Math.max(0, (255 * (v - low)) / (high - low || 1))));
}
