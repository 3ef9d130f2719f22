// The canvas as a widget of Jupyter, by anywidget: strokes are custom messages, replies are traits,
// so that a page that is loaded again finds the last one.
const toBitmap = (bytes) => createImageBitmap(new Blob([bytes], { type: "image/png" }));

function render({ model, el }) {
  mount(el, {
    state: model.get("state"),
    picture: () => toBitmap(model.get("picture")),
    send: (message) => model.send(message),
    onReply: (show) => {
      const read = async () => {
        const bytes = model.get("answer");
        show(model.get("reply"), bytes.byteLength ? await toBitmap(bytes) : null);
      };
      model.on("change:reply", read);
      if (model.get("answer").byteLength) read();
    },
  });
}

export default { render };
