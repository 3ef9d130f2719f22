// The canvas as a widget of Jupyter, by anywidget. Pictures come with the replies and are no traits,
// so that they do not lie in a saved notebook; a page that is loaded again asks for them again.
const toBitmap = (bytes) => createImageBitmap(new Blob([bytes], { type: "image/png" }));

function render({ model, el }) {
  let showPicture;
  const picture = new Promise((resolve) => (showPicture = resolve));
  mount(el, {
    state: model.get("state"),
    picture: () => picture,
    send: (message) => model.send(message),
    onReply: (show) => {
      model.on("msg:custom", async (reply, buffers) => {
        const [answer, image] = await Promise.all(buffers.map(toBitmap));
        if (image) showPicture(image);
        show(reply, answer);
      });
    },
  });
}

export default { render };
