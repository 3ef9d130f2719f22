// One frame of a DICOM file, with the scaling and the inversion that its header describes.

// How frames are unpacked, by the transfer syntax: (bytes, format) gives their bytes, little-endian and interleaved.
const UNCOMPRESSED = ["1.2.840.10008.1.2", "1.2.840.10008.1.2.1"];
const UNPACKED = {
  "1.2.840.10008.1.2.5": unpackedRunLengths,
  "1.2.840.10008.1.2.4.50": async (bytes, { samples }) => (await decoded(bytes, "image/jpeg", samples)).pixels,
  "1.2.840.10008.1.2.4.57": unpackedLosslessJpeg,
  "1.2.840.10008.1.2.4.70": unpackedLosslessJpeg,
  "1.2.840.10008.1.2.4.90": unpackedJpeg2000,
  "1.2.840.10008.1.2.4.91": unpackedJpeg2000,
};

// What colours are made of when they are unpacked: these decoders make red, green and blue of YBR.
const MAKES_RGB = ["1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.91"];

async function readDicom(bytes, slice) {
  library("dicom");
  const data = dicomParser.parseDicom(bytes), element = data.elements.x7fe00010, syntax = data.string("x00020010");
  const height = data.uint16("x00280010"), width = data.uint16("x00280011"), bits = data.uint16("x00280100");
  const samples = data.uint16("x00280002") || 1, signed = data.uint16("x00280103") === 1;
  checkSize(height, width);
  if (!element) throw new FileError("it holds no picture.");
  if (!UNCOMPRESSED.includes(syntax) && !UNPACKED[syntax])
    throw new FileError(`its compression (transfer syntax ${syntax}) is not read here: read it in Python, and save it as TIFF.`);
  checkColours(data, syntax, samples, bits);

  const frames = data.intString("x00280008") || 1, shown = Math.min(slice || 0, frames - 1);
  const format = { count: height * width, samples, bits }, size = (format.count * samples * bits) / 8;
  let frame;
  if (UNPACKED[syntax]) frame = await UNPACKED[syntax](frameOf(data, element, shown, frames), format);
  else if (!element.encapsulatedPixelData && element.length >= frames * size) frame = bytes.subarray(element.dataOffset + shown * size, element.dataOffset + (shown + 1) * size);
  if (!frame || frame.length < size) throw new FileError("its end is missing: it was not copied whole.");
  if (frame.length > size + 1) throw new FileError("its compressed picture has another size than its header says.");

  const copy = frame.slice(0, size).buffer;
  const stored = bits === 8 ? new Uint8Array(copy) : signed ? new Int16Array(copy) : new Uint16Array(copy);
  const step = (data.string("x00280030") || data.string("x00181164") || "").split("\\").map(Number);
  const common = { height, width, channels: samples, slices: frames, spacing: step.length === 2 ? step : null };
  if (samples === 3) return { ...common, pixels: stored, type: "uint8" };

  const slope = data.floatString("x00281053") || 1, intercept = data.floatString("x00281052") || 0;
  let values = Float32Array.from(stored, (v) => v * slope + intercept);
  const notes = [];
  if (data.string("x00280004") === "MONOCHROME1") {
    const [low, high] = extent(values);
    values = values.map((v) => low + high - v);
    notes.push("Its values are inverted (MONOCHROME1): bright was stored as low.");
  }
  return { ...common, pixels: values, type: "float32", notes };
}

function checkColours(data, syntax, samples, bits) {
  const kind = data.string("x00280004") || "", isPlanar = UNCOMPRESSED.includes(syntax) && data.uint16("x00280006") === 1;
  if (![8, 16].includes(bits) || (samples === 3 && bits !== 8) || ![1, 3].includes(samples)) throw new FileError(`its ${bits} bits and ${samples} samples a pixel are not read here.`);
  const isRead = samples === 1 ? kind !== "PALETTE COLOR" : !isPlanar && (kind === "RGB" || MAKES_RGB.includes(syntax));
  if (!isRead) throw new FileError(`its colours (${kind}${isPlanar ? ", one after the other" : ""}) are not read here: read it in Python, and save it as TIFF.`);
}

// The compressed bytes of a frame, which may lie in several fragments.
function frameOf(data, element, shown, frames) {
  const { fragments, basicOffsetTable } = element;
  if (!fragments?.length) throw new FileError("its end is missing: it was not copied whole.");
  const join = (first, count) => dicomParser.readEncapsulatedPixelDataFromFragments(data, element, first, count);
  if (frames === 1) return join(0, fragments.length);
  if (fragments.length === frames) return join(shown, 1);
  const offsets = basicOffsetTable.length ? basicOffsetTable : dicomParser.createJPEGBasicOffsetTable(data, element);
  return dicomParser.readEncapsulatedImageFrame(data, element, shown, offsets);
}

// Runs of equal bytes (DICOM PS3.5, annex G): one segment for each byte of a sample, the highest byte first.
function unpackedRunLengths(bytes, { count, samples, bits }) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength), wide = bits / 8, out = new Uint8Array(count * samples * wide);
  const segments = view.getUint32(0, true);
  if (segments !== samples * wide) throw new FileError("its compressed picture has another number of colours or bits than its header says.");
  for (let segment = 0; segment < segments; segment++) {
    const end = segment + 1 < segments ? view.getUint32(4 * segment + 8, true) : bytes.length;
    const first = Math.floor(segment / wide) * wide + wide - 1 - (segment % wide);
    let at = view.getUint32(4 * segment + 4, true), pixel = 0;
    const put = (value) => { if (pixel < count) out[pixel++ * samples * wide + first] = value; };
    while (pixel < count && at + 1 < end) {
      const length = view.getInt8(at++);
      if (length >= 0) for (let k = 0; k <= length; k++) put(bytes[at++]);
      else if (length > -128) { for (let k = 0; k <= -length; k++) put(bytes[at]); at++; }
    }
    if (pixel < count) throw new FileError("its end is missing: it was not copied whole.");
  }
  return out;
}

async function unpackedLosslessJpeg(bytes) {
  const [text] = parts.libraries.losslessJpeg, { Decoder } = await import(addressOf(text));
  return new Uint8Array(new Decoder().decompress(bytes.buffer, bytes.byteOffset, bytes.length));
}

async function unpackedJpeg2000(bytes) {
  const [text, wasmBinary] = parts.libraries.jpeg2000;
  if (!loaded.jpeg2000) {
    importScripts(addressOf(text));
    loaded.jpeg2000 = await OpenJPEGWASM({ wasmBinary, print() {}, printErr() {} });
  }
  const decoder = new loaded.jpeg2000.J2KDecoder();
  try {
    decoder.getEncodedBuffer(bytes.length).set(bytes);
    decoder.decode();
    return new Uint8Array(decoder.getDecodedBuffer());  // a copy
  } finally {
    decoder.delete();
  }
}
