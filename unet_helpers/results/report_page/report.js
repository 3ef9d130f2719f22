// A report shows the arrays in its page.
(async () => {
  const unpacked = {}, page = JSON.parse($("facts").textContent);
  for (const name of ["pixels", "levels", "classes", "objects"]) {
    const buffer = await unpack(name);
    if (buffer) unpacked[name] = name === "objects" ? new (page.wide ? Uint32Array : Uint16Array)(buffer) : new Uint8Array(buffer);
  }
  listenToControls();
  await showAnswer(page, unpacked);
  document.body.dataset.ready = "yes";
})();
